import ctypes
import os
import resource

from evaluator.contract import Job, Pruned, PruningMethod


def attempt(what, action):
    """Say so when ``action`` works: the test looks for the word."""
    try:
        found = action()
    except BaseException as error:
        print(what, "failed:", type(error).__name__)
    else:
        print("BREACH", what, repr(found)[:200])


def write(path, content):
    """At once: what is buffered fails unseen."""
    return os.write(os.open(path, os.O_WRONLY), content)


class Attack(PruningMethod):
    """Lists the processes of the host, and reads and changes the one that serves."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            libc = ctypes.CDLL(None, use_errno=True)

            def call(name, *arguments):
                if libc[name](*arguments) < 0:
                    raise OSError(ctypes.get_errno(), name)

            pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
            if pids - {1, os.getpid()}:
                print("BREACH others", pids)
            if os.getppid() != 1:
                print("BREACH the parent is", os.getppid())
            for name in ["environ", "mem", "maps", "cwd", "root", "task/1/mem"]:
                path = f"/proc/1/{name}"
                attempt(path, lambda path=path: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
            for descriptor in range(8):
                attempt(f"descriptor {descriptor} of 1", lambda d=descriptor: os.open(f"/proc/1/fd/{d}", os.O_RDWR))
            attempt("ptrace", lambda: call("ptrace", 16, 1, 0, 0))
            attempt("prlimit", lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)))
            attempt("affinity", lambda: os.sched_setaffinity(1, {0}))
            attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
            attempt("priority of the user", lambda: os.setpriority(os.PRIO_USER, 0, 19) or os.getpriority(os.PRIO_PROCESS, 1) == 19 or 1 / 0)
            for name in ["oom_score_adj", "comm", "task/1/comm", "autogroup", "coredump_filter", "timerslack_ns", "uid_map"]:
                attempt(f"to change {name}", lambda name=name: write(f"/proc/1/{name}", b"1000"))
            attempt("magic keys", lambda: write("/proc/sysrq-trigger", b"h"))
            attempt("sysctl", lambda: write("/proc/sys/vm/swappiness", b"1"))
            attempt("core pattern", lambda: write("/proc/sys/kernel/core_pattern", b"|/bin/true"))
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
