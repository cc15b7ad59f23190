from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Returns masks that do not fit the weights."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            return Pruned({position: (weight.abs() > 0).T for position, weight in job.weights()})
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
