"""Filters of small L2 norm go."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod


def l2_norms(group: ChannelGroup) -> Tensor:
    """||F_j||_2 of each channel, over the filters of all layers that make it, as one long filter."""
    return torch.linalg.vector_norm(torch.cat(group.filters, dim=1), dim=1)


class L2Filter(PruningMethod):
    """Keep the filters of largest Euclidean norm: s_j = ||F_j||_2 (Li et al. 2017, appendix 6.1).

    The paper tries this norm beside the L1 norm and finds both alike.

    Deviations: every group of channels keeps the same share, where the paper sets a share for each stage by hand and spares
    sensitive layers. Filters of several layers that make the same channel, as around a shortcut, count as one long filter,
    where the paper lets the shortcut's projection decide. Features of linear layers go by the same rule; one channel of
    every group always stays, and in a network of few channels some groups keep one or a few more or less than their share,
    to come within 5 % of the speedup.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_channels({group.position: l2_norms(group) for group in job.groups()}, scope="group")
