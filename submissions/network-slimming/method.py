"""Network slimming: a penalty makes scales of channels small while the network trains, then the smallest go."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Step


def scales(group: ChannelGroup) -> Tensor:
    """|gamma| for each BatchNorm (rows) and channel (columns), to be differentiated; one row ||F_j||_2 without any."""
    norms = [piece.module.weight for piece in group.slices if piece.side == "norm"]
    if norms:
        return torch.stack(norms).abs()
    filters = [piece.by_channel(piece.module.weight) for piece in group.slices if piece.side == "out"]
    return torch.linalg.vector_norm(torch.cat(filters, dim=1), dim=1, keepdim=True).T


class NetworkSlimming(PruningMethod):
    """Train with loss + lambda sum |gamma|, then keep the channels of largest |gamma| (Liu et al. 2017, section 3).

    One threshold for all layers, as in the paper: behind a BatchNorm, gamma is the spread of what a channel passes on. The
    share ``share`` of the epochs trains with the penalty, of strength lambda; the rest trains what is left, without it.
    Where a channel has several BatchNorms, as around a shortcut, the mean of |gamma| decides. Where it has none, the norm of
    its filter takes the place of gamma: the scale that is left when the filter's direction is split off.

    Deviations: one training, where the paper trains with the penalty to the end, prunes and fine-tunes; gamma starts at 1,
    not at 0.5; one lambda, of which the paper takes a tenth for ResNet and DenseNet; several BatchNorms or none as above,
    where the paper selects channels before each branch; only channels that can be removed are penalised, and at least one
    of every group stays; in a network of few channels one or a few stay or go against the order, to come within 5 % of the
    speedup.
    """

    strength: float
    share: float

    def prune(self, job: Job) -> Pruned:
        def penalty(_: Step) -> Tensor:
            return self.strength * torch.stack([scales(group).sum() for group in job.groups()]).sum()

        job.train(max(round(self.share * job.epochs), 1), penalty=penalty)
        job.channels.update(job.keep_channels({g.position: scales(g).mean(0) for g in job.groups()}).channels)
        if job.epochs_left:
            job.train(job.epochs_left)
        return Pruned(channels=job.channels)
