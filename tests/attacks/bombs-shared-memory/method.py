import ctypes
import mmap
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
    """Takes memory of every kind that belongs to no process, and hides that it has it."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            def memfd():
                descriptor = os.memfd_create("hoard")
                os.write(descriptor, b"x" * (1 << 20))

            libc = ctypes.CDLL(None)
            attempt("memfd", memfd)
            attempt("System V", lambda: libc.shmget(0, 1 << 20, 0o1600) >= 0 or 1 / 0)
            filled = 0
            try:
                with open("/dev/shm/hoard", "wb") as file:
                    while filled < 1 << 30:
                        filled += file.write(b"x" * (1 << 20))
            except OSError:
                pass
            if filled > 128 << 20:
                print("BREACH /dev/shm", filled)
            hoard = []
            while True:  # what is advised away is no longer resident, and still there
                hoard.append(mmap.mmap(-1, 1 << 26, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
                hoard[-1].write(b"x" * (1 << 26))
                hoard[-1].madvise(mmap.MADV_DONTNEED)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
