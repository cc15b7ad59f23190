"""Filters go by chance, the same share everywhere."""

from __future__ import annotations

import torch

from evaluator.contract import Job, Pruned, PruningMethod


class RandomFilter(PruningMethod):
    """Keep channels that are drawn uniformly within their group, an exact number of each (Li et al. 2017, section 4.4).

    Every group keeps the same share, so that only the choice within a group is left to chance.

    Deviations: the paper's baseline removes as many filters of each layer as its norms do, so that the share differs from
    layer to layer. Filters of several layers that make the same channel, as around a shortcut, go together, and features of
    linear layers go too; one channel of every group always stays, and in a network of few channels some groups keep one or
    a few more or less than their share, to come within 5 % of the speedup.
    """

    def prune(self, job: Job) -> Pruned:
        draws = {g.position: torch.rand(g.size, generator=job.generator, dtype=torch.float64) for g in job.groups()}
        return job.keep_channels({position: draw.to(job.device) for position, draw in draws.items()}, scope="group")
