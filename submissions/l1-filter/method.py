"""Filters of small L1 norm go."""

from __future__ import annotations

from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod


def l1_norms(group: ChannelGroup) -> Tensor:
    """sum |F_j| of each channel, over the filters of all layers that make it."""
    return sum((filters.abs().sum(1) for filters in group.filters), start=group.filters[0].new_zeros(group.size))


class L1Filter(PruningMethod):
    """Keep the filters with the largest sum of absolute weights: s_j = sum |F_j| (Li et al. 2017, section 3.1).

    Norms of different layers say nothing about each other, so that every group of channels keeps the same share.

    Deviations: the paper sets a share for each stage of a network by hand, from the sensitivity of its layers, and spares
    sensitive ones. Channels that several layers make, as around a shortcut, go together by the sum of their norms; the
    paper lets the shortcut's projection decide. Features of linear layers go by the same rule; one channel of every group
    always stays, and in a network of few channels some groups keep one or a few more or less than their share, to come
    within 5 % of the speedup.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_channels({group.position: l1_norms(group) for group in job.groups()}, scope="group")
