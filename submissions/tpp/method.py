"""Trainability preserving pruning: filters that will go are first shrunk and made orthogonal to those that stay."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Step


def l1_norms(group: ChannelGroup) -> Tensor:
    """sum |F_j| of each channel, over the filters of all layers that make it."""
    return torch.stack([filters.abs().sum(1) for filters in group.filters]).sum(0)


def correlation(filters: Tensor, kept: Tensor) -> Tensor:
    """Mean squared entry of W W^T, where entries between two kept filters count as zero."""
    return torch.where(kept[:, None] & kept, 0.0, filters @ filters.T).square().mean()


def size(group: ChannelGroup, kept: Tensor) -> Tensor:
    """Half the sum of squares of all that makes or norms the channels that go: filters, biases, scales, shifts."""
    modules = [piece.module for piece in group.slices if piece.side != "in"]
    squares = [p.reshape(len(p), -1).square().sum(1) for module in modules for p in module.parameters(recurse=False)]
    return (torch.stack(squares).sum(0) * ~kept).sum() / 2


class Tpp(PruningMethod):
    """Train with Delta (c mean((W W^T)_ij^2 of pairs that do not stay) + 1/2 sum w^2 of what goes) (Wang and Fu 2023).

    The penalties of the paper's equations 3 and 5, on filters and on BatchNorm. The filters that go are chosen by their L1
    norm before the training, the same share of each group. Delta grows from 0 to ``ceiling`` over the share ``rise`` of the
    training; after the share ``removal`` the filters go, and the rest trains what is left. W has a row for each filter of a
    layer. Its Gram matrix is pulled to zero everywhere but between filters that stay.

    Deviations: Delta grows in a straight line, faster and to a lower ceiling than in the authors' code, since rates are
    higher here; one schedule of the rate before and after the removal; depthwise kernels of what goes are shrunk as well;
    all groups keep the same share, where the paper also sets shares by stage; channels that several layers make, as around
    a shortcut, are judged by the filters of all of them, and go too, where the paper's ResNets keep them whole; one channel
    of every group always stays, and in a network of few channels some groups keep one or a few more or less than their
    share, to come within 5 % of the speedup.
    """

    ceiling: float
    decorrelation: float
    rise: float
    removal: float

    def prune(self, job: Job) -> Pruned:
        kept = job.keep_channels({group.position: l1_norms(group) for group in job.groups()}, scope="group").channels

        def penalty(step: Step) -> Tensor:
            parts = []
            for group in job.groups():
                filters = [piece.by_channel(piece.module.weight) for piece in group.slices if piece.side == "out"]
                parts += [self.decorrelation * correlation(rows, kept[group.position]) for rows in filters]
                parts.append(size(group, kept[group.position]))
            return self.ceiling * min(step.progress / self.rise, 1.0) * torch.stack(parts).sum()

        first = max(round(self.removal * job.epochs), 1)
        job.train(first, schedule=(0, job.epochs), penalty=penalty)
        job.channels.update(kept)
        if job.epochs_left:
            job.train(job.epochs_left, schedule=(first, job.epochs))
        return Pruned(channels=job.channels)
