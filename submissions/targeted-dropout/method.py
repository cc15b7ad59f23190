"""Targeted dropout: learn not to rely on the smallest weights, then remove them."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod, Step


class TargetedDropout(PruningMethod):
    """Drop candidates, the share gamma of smallest |w| into each unit, with chance alpha (Gomez et al. 2019, section 3).

    Each step draws anew; dropped weights get no gradient in that step. In the end all candidates go. gamma rises from 0
    to 1 - density over the share ``ramp`` of the training.
    """

    alpha: float
    ramp: float

    def prune(self, job: Job) -> Pruned:
        def largest(gamma: float) -> Pruned:
            keep = job.total - round(job.total * gamma)
            return job.keep_highest({i: weight.abs() for i, weight in job.weights()}, scope="row", keep=keep)

        def draw(progress: float) -> None:
            gamma = (1 - job.density) * min(progress / self.ramp, 1.0)
            for i, safe in largest(gamma).masks.items():
                spared = torch.rand(safe.shape, generator=job.generator).to(job.device) >= self.alpha
                job.memory[f"used-{i}"] = safe | spared

        def weights(layer: Layer, weight: Tensor) -> Tensor:
            return weight * job.memory[f"used-{layer.position}"]

        def after_step(step: Step) -> None:
            draw(step.progress)

        draw(0.0)
        job.train(job.epochs, weights=weights, after_step=after_step)
        return largest(1 - job.density)
