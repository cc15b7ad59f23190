from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Returns a dictionary of lists instead of an outcome."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            return {position: weight.tolist() for position, weight in job.weights()}
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
