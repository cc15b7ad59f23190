import socket

from evaluator.contract import Job, Pruned, PruningMethod


def attempt(what, action):
    """Say so when ``action`` works: the test looks for the word."""
    try:
        found = action()
    except BaseException as error:
        print(what, "failed:", type(error).__name__)
    else:
        print("BREACH", what, repr(found)[:200])


class Attack(PruningMethod):
    """Reaches for the network: addresses outside, the host's loopback, abstract and virtual sockets."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            attempt("outside", lambda: socket.create_connection(("1.1.1.1", 53), timeout=2))
            attempt("host loopback", lambda: socket.create_connection(("127.0.0.1", self.port), timeout=2))
            attempt("names", lambda: socket.getaddrinfo("example.org", 80))
            attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53)))
            attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\0" + self.abstract))
            attempt("named", lambda: socket.socket(socket.AF_UNIX).connect(self.named))
            attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
            attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
            attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
