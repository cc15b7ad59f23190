from evaluator.contract import Job, Pruned, PruningMethod


class Trap(BaseException):
    """Nothing about it can be read."""

    def __str__(self):
        raise Trap

    __repr__ = __str__

    @property
    def __class__(self):
        raise KeyboardInterrupt


class Attack(PruningMethod):
    """Raises an exception that raises when anybody looks at it."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            raise Trap
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
