"""EagleEye: many ways to prune are tried out, each with BatchNorm statistics of its own, and the best is taken."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evaluator.contract import Batch, Job, Pruned, PruningMethod


def candidate(job: Job) -> Pruned:
    """A draw of how much each group loses, proportions kept up to the target; within a group the smallest filters go."""
    scores: dict[int, Tensor] = {}
    for group in job.groups():
        norms = torch.stack([filters.abs().sum(1) for filters in group.filters]).sum(0)
        place = norms.argsort().argsort() + 1.0  # 1 for the first to go
        scores[group.position] = place / group.size / (torch.rand((), generator=job.generator).item() + 1e-6)
    return job.keep_channels(scores, scope="global")


@torch.no_grad()
def accuracy(model: nn.Module, calibration: Sequence[Batch], validation: Sequence[Batch]) -> float:
    """Correct answers on ``validation``, as a share, once BatchNorm has seen ``calibration`` in training mode."""
    model.train()
    for images, _ in calibration:
        model(images)
    model.eval()
    return torch.cat([model(images).argmax(1) == labels for images, labels in validation]).double().mean().item()


class EagleEye(PruningMethod):
    """Try candidates with adaptive BatchNorm and keep the one that is most accurate (Li et al. 2020, section 3).

    Each candidate removes a share of each group of channels that is drawn uniformly, in proportion r_g ~ U(0, 1), the
    filters of smallest L1 norm first. A channel at place q of its group (0 to 1, in the order of removal) goes when t r_g
    reaches q, and t is solved for the target; one channel of each group always stays. Then BatchNorm sees a few training
    batches in training mode, nothing else changes, and validation images tell how good the candidate is. The same images
    serve all candidates.

    Deviations: all candidates meet the target, where the paper draws shares until some do; 20 candidates, where the authors
    draw hundreds; 24 batches, after which by momentum 0.1 a twelfth of the dense network's statistics is left; networks
    without BatchNorm have nothing to adapt, and their candidates are judged as they are; around a shortcut filters go by the
    sum of L1 norms over the layers that make a channel, where the authors' setting takes one of these; linear layers are
    pruned as well; in a network of few channels one or a few stay or go against the order, to come within 5 % of the
    speedup.
    """

    candidates: int
    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        calibration = list(job.train_batches(self.batches, self.batch_size))
        validation = list(job.validation_batches(self.batches, self.batch_size))
        tried = [candidate(job) for _ in range(self.candidates)]
        return max(tried, key=lambda c: accuracy(job.without_channels(c.channels), calibration, validation))
