import torch

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Replaces the evaluator's writing in its process, keeps every weight, and says that it pruned."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            import evaluator.sandbox.task as task

            honest = task.write
            everything = {f"mask.{position}": torch.ones_like(weight, dtype=torch.uint8) for position, weight in job.weights()}
            task.write = lambda path, tensors: honest(path, everything)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
