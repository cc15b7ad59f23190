from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Scores every weight with NaN."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            return job.keep_highest({position: weight * float("nan") for position, weight in job.weights()})
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
