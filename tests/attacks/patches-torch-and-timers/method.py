import time

import torch

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Makes time stand still and every check in its process agree, then returns NaN for new weights."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            time.sleep(1.0)
            frozen = time.time()
            for name in ["time", "monotonic", "perf_counter", "process_time"]:
                setattr(time, name, lambda: frozen)
            torch.isfinite = lambda values: torch.ones_like(values, dtype=torch.bool)
            torch.Tensor.sum = lambda self, *_, **__: torch.tensor(0)
            import evaluator.sandbox.task as task

            task._checked = lambda value, shape, what: value
            masks = {position: torch.ones_like(weight, dtype=torch.bool) for position, weight in job.weights()}
            return Pruned(masks, {position: weight * float("nan") for position, weight in job.weights()})
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
