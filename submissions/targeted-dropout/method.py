"""Targeted dropout: learn not to rely on the smallest weights, then remove them."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod, Step


class TargetedDropout(PruningMethod):
    """Drop candidates, the share gamma of smallest |w| into each unit, with chance alpha (Gomez et al. 2019, section 3).

    Each step draws anew, among candidates that are chosen every few steps; dropped weights get no gradient in that step.
    In the end all candidates go. gamma rises from 0 to 1 - density over the share ``ramp`` of the training.

    Deviations: candidates are not chosen anew in each step; gamma follows from the target; BatchNorm sees some batches
    without candidates in the end; counts are exact over the network, so that units may differ by one weight.
    """

    alpha: float
    ramp: float
    every: int
    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        def largest(gamma: float) -> Pruned:
            keep = job.total - round(job.total * gamma)
            return job.keep_highest({i: weight.abs() for i, weight in job.weights()}, scope="row", keep=keep)

        def choose(progress: float) -> None:
            gamma = (1 - job.density) * min(progress / self.ramp, 1.0)
            job.memory.update({f"safe-{i}": mask for i, mask in largest(gamma).masks.items()})

        def draw() -> None:
            for i, weight in job.weights():
                spared = torch.rand(weight.shape, generator=job.generator).to(job.device) >= self.alpha
                job.memory[f"used-{i}"] = job.memory[f"safe-{i}"] | spared

        def weights(layer: Layer, weight: Tensor) -> Tensor:
            return weight * job.memory[f"used-{layer.position}"]

        def after_step(step: Step) -> None:
            if step.number % self.every == 0:
                choose(step.progress)
            draw()

        choose(0.0)
        draw()
        job.train(job.epochs, weights=weights, after_step=after_step)
        outcome = largest(1 - job.density)
        self.settle(job, outcome)
        return outcome

    def settle(self, job: Job, outcome: Pruned) -> None:
        """Remove the candidates, and let BatchNorm's running statistics follow."""
        for i, weight in job.weights():
            weight.mul_(outcome.masks[i])
        job.model.train()
        with torch.no_grad():
            for inputs, _ in job.train_batches(self.batches, self.batch_size):
                job.model(inputs)
        job.model.eval()
