"""DepGraph's group norm: a channel counts by all that goes with it."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod


def group_norms(group: ChannelGroup) -> Tensor:
    """sum over the coupled w of ||w[k]||_2^2 for each channel k, divided by the mean over the group's channels."""
    squares = torch.stack([piece.by_channel().double().square().sum(1) for piece in group.slices]).sum(0)
    return squares / squares.mean().clamp(min=1e-300)


class DepGraph(PruningMethod):
    """Keep the channels of largest norm relative to their group, wherever they are (Fang et al. 2023, section 3.3).

    I_k = sum over w in the group of ||w[k]||_2^2, where the group are all weights that lose channel k together: filters
    that make it, BatchNorm scales, kernels that read it. Divided by the group's mean, which makes groups of different
    size comparable, the importances compete under one threshold. The paper precedes this by training that drives groups to
    zero; this is its criterion alone, the row "without sparse learning" of its table.

    Deviations: without that training; all channels go at once, where the authors' code removes them in many steps; shifts
    (biases) are not counted; the mean over all channels of a group divides, where the paper allows for the mean of the N
    largest; groups that pass attention heads, concatenations, padded shortcuts or grouped convolutions stay whole, and of
    every other group at least one channel stays; in a network of few channels one or a few stay or go against the order, to
    come within 5 % of the speedup.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_channels({group.position: group_norms(group) for group in job.groups()}, scope="global")
