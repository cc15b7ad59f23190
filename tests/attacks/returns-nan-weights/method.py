from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Returns new weights of NaN."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            masks = {position: weight.abs() > 0 for position, weight in job.weights()}
            return Pruned(masks, {position: weight * float("nan") for position, weight in job.weights()})
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
