"""NetAdapt: step by step, the group of channels that can best afford it pays for the next piece of speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Batch, ChannelGroup, Job, Pruned, PruningMethod


def norms(group: ChannelGroup) -> Tensor:
    """||F_j||_2 of each channel relative to the largest, over the filters of all layers that make it, as one long filter."""
    found = torch.linalg.vector_norm(torch.cat(group.filters, dim=1), dim=1)
    return found / found.max().clamp(min=1e-12)


def proposal(job: Job, payer: ChannelGroup, speedup: float) -> Mapping[int, Tensor]:
    """What stays when ``payer`` loses as many of its smallest filters as the speedup takes; then of others."""
    scores = {}
    for group in job.groups():
        score = norms(group) + (0 if group.position == payer.position else 2)
        scores[group.position] = torch.where(job.channels[group.position], score, -1.0)  # what is gone goes first
    return job.keep_channels(scores, scope="global", speedup=speedup).channels


@torch.no_grad()
def quality(model: nn.Module, validation: Sequence[Batch]) -> tuple[float, float]:
    """Correct answers as a share, and the cross-entropy with its sign changed: the larger of two is the better."""
    logits = torch.cat([model(images) for images, _ in validation])
    labels = torch.cat([labels for _, labels in validation])
    return (logits.argmax(1) == labels).double().mean().item(), -F.cross_entropy(logits, labels).item()


class NetAdapt(PruningMethod):
    """Meet a budget that shrinks step by step, each time by the best proposal of a group (Yang et al. 2018, algorithm 1).

    Step i of n has the budget MACs - i/n (MACs - target). For each group of channels in turn, so many of its filters of
    smallest L2 norm are left out that the network meets it; the network that is most accurate on validation images is
    taken, and trained for a short time. The last one is trained for what is left of the epochs.

    Deviations: the budget is of MACs, not of measured latency; proposals come from groups, where layers that make the same
    channels go together, not from layers; only the one that is taken is trained; at most ``steps`` steps of equal size,
    which take the share ``share`` of the epochs, where the paper has a schedule of its own; a budget is met as closely as
    whole channels allow, and where a group alone cannot, the smallest filters of others go along; ties go to the lower
    cross-entropy; at least one channel of every group stays; in a network of few channels, where a budget would be missed
    by more than 5 %, a filter of any group may go in their stead, or one that went come back, without its weights.
    """

    steps: int
    share: float
    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        validation = list(job.validation_batches(self.batches, self.batch_size))
        job.channels = {g.position: torch.ones(g.size, dtype=torch.bool, device=job.device) for g in job.groups()}
        epochs = int(self.share * job.epochs)
        steps = max(min(self.steps, epochs), 1)
        for number in range(1, steps + 1):
            if number > 1:
                job.train(epochs // steps)
            self.adapt(job, min(1 / (1 - number / steps * (1 - 1 / job.speedup)), job.speedup), validation)
        job.train(job.epochs_left)
        return Pruned(channels=job.channels)

    def adapt(self, job: Job, speedup: float, validation: Sequence[Batch]) -> None:
        """Take the best proposal for ``speedup``, unless it is reached already."""
        if job.costs().speedup({p: int(mask.sum()) for p, mask in job.channels.items()}) < speedup:
            proposals = [proposal(job, group, speedup) for group in job.groups()]
            best = max(proposals, key=lambda kept: quality(job.without_channels(kept), validation))
            job.channels = dict(best)
