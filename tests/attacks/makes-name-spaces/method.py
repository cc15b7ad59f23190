import ctypes
import os

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
    """Makes itself root of a new name space, mounts, and uses calls that pass filters by."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            libc = ctypes.CDLL(None, use_errno=True)

            def call(number, *arguments):
                if libc.syscall(number, *arguments) < 0:
                    raise OSError(ctypes.get_errno(), "refused")

            attempt("unshare user", lambda: call(272, 0x10000000))
            attempt("unshare mount", lambda: call(272, 0x00020000))
            attempt("clone user", lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0))
            attempt("clone3", lambda: call(435, 0, 0))
            attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0))
            attempt("remount", lambda: call(165, b"none", b"/", b"", 32, 0))
            attempt("chroot", lambda: os.chroot("/tmp"))
            attempt("root", lambda: os.setuid(0))
            attempt("io_uring", lambda: call(425, 8, 0))
            attempt("bpf", lambda: call(321, 0, 0, 0))
            attempt("userfaultfd", lambda: call(323, 0))
            attempt("keys", lambda: call(250, 0, -3, 1))
            attempt("x32", lambda: call(0x40000000 + 39))
            attempt("device", lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)))
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
