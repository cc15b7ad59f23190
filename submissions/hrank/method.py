"""HRank: channels whose feature maps are of low rank go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Slice


def places(group: ChannelGroup) -> list[Slice]:
    """Where the channels are maps: where convolutions read them, else behind their BatchNorms, else behind their makers."""
    maps = [piece for piece in group.slices if not isinstance(piece.module, nn.Linear)]
    for side in ("in", "norm", "out"):
        if found := [piece for piece in maps if piece.side == side]:
            return found
    return [piece for piece in group.slices if piece.side == "in"]


def mean_rank(maps: Tensor) -> Tensor:
    """(channels,) rank of each channel's map, on average over images; what has no two dimensions is a map of one row."""
    matrices = maps if maps.dim() == 4 else maps.reshape(*maps.shape[:2], 1, -1)
    return torch.linalg.matrix_rank(matrices).double().mean(0)


class HRank(PruningMethod):
    """Keep the channels of each group whose maps are of highest rank: s_j = E[rank(o_j(I))] over images I.

    Ranks of feature maps are the criterion (Lin et al. 2020, figure 1). They are whole numbers and often tie; then the
    channel that comes first in the network stays.

    Deviations: every group keeps the same share, and all go at once; the paper sets a share for each layer by hand and
    trains after each layer. Maps are those behind the activation, as convolutions read them, pooled or summed with a
    shortcut, where the authors take them right behind the ReLU; where several read, ranks are averaged. Where a pooling to
    one pixel or a linear layer is all that follows, they are what the channel's BatchNorm or layer makes, cut off at zero
    as a ReLU does. The paper prunes no linear layers; here a linear layer's feature is a map of one pixel, whose rank is 1
    where it is active and 0 elsewhere, and features without order of two dimensions, as tokens, are a map of one row; one
    channel of every group always stays, and in a network of few channels some groups keep one or a few more or less than
    their share, to come within 5 % of the speedup.
    """

    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        watched = {group.position: places(group) for group in job.groups()}
        totals = {g.position: torch.zeros(g.size, dtype=torch.float64, device=job.device) for g in job.groups()}

        def visit(group: ChannelGroup, piece: Slice, maps: Tensor) -> None:
            if piece in watched[group.position]:
                totals[group.position] += mean_rank(maps if piece.side == "in" else maps.clamp(min=0))

        for images, _ in job.train_batches(self.batches, self.batch_size):
            job.visit_channels(images, visit)
        return job.keep_channels(totals, scope="group")
