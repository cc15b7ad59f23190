"""DepGraph with group sparse training: what a channel stands for is made small together, then the smallest go."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Slice, Step


def importances(group: ChannelGroup) -> Tensor:
    """I_k = sum over the coupled w of ||w[k]||_2^2, for each channel k of a group."""
    return torch.stack([piece.by_channel().square().sum(1) for piece in group.slices]).sum(0)


def strengths(importance: Tensor, exponent: float) -> Tensor:
    """gamma_k = 2^(exponent (I_max - I_k) / (I_max - I_min)): 1 for the most important channel, 2^exponent for the least."""
    highest, lowest = importance.max(), importance.min()
    return 2 ** (exponent * (highest - importance) / (highest - lowest).clamp(min=1e-30))


def along(piece: Slice, values: Tensor) -> Tensor:
    """A value of each channel, in a shape that multiplies with the slice's weight."""
    place = 1 if piece.side == "in" else 0
    return values.repeat_interleave(piece.width).view(-1, *[1] * (piece.weight.dim() - 1 - place))


class DepGraphSparse(PruningMethod):
    """Train with lambda gamma_k w added to the gradients, prune by group norm, train on (Fang et al. 2023, section 3.3).

    In each step, for every group of coupled weights and its channels k: I_k = sum over w in the group of ||w[k]||_2^2,
    gamma_k = 2^(``exponent`` (I_max - I_k) / (I_max - I_min)), and lambda gamma_k w[k] goes onto the gradient of all that
    channel k stands for: filters that make it, BatchNorm scales, kernels that read it. A weight that belongs to two groups
    is shrunk by both. After the share ``share`` of the training, I_k over its group's mean decides under one threshold what
    goes, and the rest trains on alone.

    Deviations: begins at initial weights, as one training with one schedule, and keeps the recipe's weight decay; gamma is
    of squared norms, where the authors' code takes their roots; the mean over all channels of a group divides, where the
    paper allows for the mean of the N largest; all channels go at once; shifts (biases) are neither counted nor shrunk;
    groups that pass attention heads, concatenations, padded shortcuts or grouped convolutions stay whole, and of every
    other group at least one channel stays; in a network of few channels one or a few stay or go against the order, to come
    within 5 % of the speedup.
    """

    regularisation: float
    exponent: float
    share: float

    def prune(self, job: Job) -> Pruned:
        def shrink(_: Step) -> None:
            for group in job.groups():
                gamma = strengths(importances(group), self.exponent)
                for piece in group.slices:
                    piece.module.weight.grad.add_(self.regularisation * along(piece, gamma) * piece.weight)

        job.train(max(round(self.share * job.epochs), 1), after_backward=shrink)
        norms = {group.position: importances(group).double() for group in job.groups()}
        kept = job.keep_channels({p: norm / norm.mean().clamp(min=1e-300) for p, norm in norms.items()}, scope="global")
        job.channels = dict(kept.channels)
        if job.epochs_left:
            job.train(job.epochs_left)
        return kept
