import ctypes

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Reads from address zero and crashes."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            ctypes.string_at(0)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
