"""Targeted dropout: learn not to rely on the smallest weights, then remove them."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod, Step


class TargetedDropout(PruningMethod):
    """Drop candidates, the share gamma of smallest |w| into each unit, with chance alpha (Gomez et al. 2019, section 3).

    Each step draws anew, among candidates that are chosen every few steps; dropped weights get no gradient in that step.
    In the end all candidates go. As in the authors' code for high sparsity, alpha rises in a straight line from 0 over the
    share ``ramp`` of the training, and gamma to 95 % of its goal, 1 - density, in the first half of that, to all of it in
    the second.

    Deviations: gamma follows from the target; it and alpha rise at every target, in the authors' code over 40,000 steps and
    for the highest sparsity alone; candidates are not chosen anew in each step; BatchNorm sees some batches without
    candidates in the end; the first convolution has candidates as well; counts are exact over the network, so that units
    may differ by one weight; the classifier stays dense, as in the authors' code.
    """

    alpha: float
    ramp: float
    every: int
    batches: int
    batch_size: int

    def chances(self, progress: float, density: float) -> tuple[float, float]:
        """gamma and alpha at ``progress`` (0 to 1) of the training."""
        risen = min(progress / self.ramp, 1.0)
        return (1 - density) * (0.95 * min(2 * risen, 1.0) + 0.05 * max(2 * risen - 1, 0.0)), self.alpha * risen

    def prune(self, job: Job) -> Pruned:
        def largest(gamma: float) -> Pruned:
            keep = job.total - round(job.total * gamma)
            return job.keep_highest({i: weight.abs() for i, weight in job.weights()}, scope="row", keep=keep)

        def choose(gamma: float) -> None:
            job.memory.update({f"safe-{i}": mask for i, mask in largest(gamma).masks.items()})

        def draw(alpha: float) -> None:
            for i, weight in job.weights():
                spared = torch.rand(weight.shape, generator=job.generator).to(job.device) >= alpha
                job.memory[f"used-{i}"] = job.memory[f"safe-{i}"] | spared

        def weights(layer: Layer, weight: Tensor) -> Tensor:
            return weight * job.memory[f"used-{layer.position}"]

        def after_step(step: Step) -> None:
            gamma, alpha = self.chances(step.progress, job.density)
            if step.number % self.every == 0:
                choose(gamma)
            draw(alpha)

        choose(0.0)
        draw(0.0)
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
