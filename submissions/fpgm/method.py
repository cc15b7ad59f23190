"""FPGM: the filters nearest to the geometric median go, since others can stand in for them."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod


def distances(group: ChannelGroup) -> Tensor:
    """sum_k ||F_j - F_k||_2 of each channel's filter, signs included, over the layers that make it as one long filter."""
    filters = torch.cat(group.filters, dim=1).double()
    return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


class FPGM(PruningMethod):
    """Keep the filters farthest from all others of their layer: s_j = sum_k ||F_j - F_k||_2 (He et al. 2019, section 3.4).

    A filter with a small sum lies near the geometric median of its layer, where the others can represent it; it goes,
    however large it is. Every group of channels keeps the same share, which is the paper's rule as well.

    Deviations: the paper prunes after every epoch of training and lets filters grow back; here they go once, from the
    trained network. Filters of several layers that make the same channel, as around a shortcut, count as one long filter,
    where the paper prunes each layer by itself and expands the result again where it meets the others; its variant that
    chooses a share by norm is left out. Features of linear layers go by the same rule; one channel of every group always
    stays, and in a network of few channels some groups keep one or a few more or less than their share, to come within 5 %
    of the speedup.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_channels({group.position: distances(group) for group in job.groups()}, scope="group")
