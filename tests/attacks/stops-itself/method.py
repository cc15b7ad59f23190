import os
import signal

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Stops its process, so that it neither runs nor ends."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            os.kill(os.getpid(), signal.SIGSTOP)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
