import signal

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Loops for ever and ignores every signal that can be ignored."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            while True:
                pass
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
