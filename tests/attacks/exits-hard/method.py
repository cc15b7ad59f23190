import os

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Ends its process, saying nothing."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            os._exit(0)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
