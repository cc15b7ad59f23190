"""ThiNet: the channels go without which the next layer computes almost the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluator.contract import ChannelGroup, Job, Layer, Pruned, PruningMethod, Slice


def windows(piece: Slice, maps: Tensor) -> Tensor:
    """(images, channels, kernel, positions): what the reader multiplies with one channel's kernel, at all its positions."""
    if isinstance(conv := piece.module, nn.Conv2d):
        patches = Layer(0, conv).patches(maps)  # padded as the layer pads
        return patches.view(len(maps), -1, maps.shape[1], conv.weight[0, 0].numel()).permute(0, 2, 3, 1)
    return maps.reshape(*maps.shape[:2], piece.width, -1)


def contributions(piece: Slice, maps: Tensor, positions: Tensor, outputs: Tensor) -> Tensor:
    """(images, samples, channels): what each channel adds to the reader's ``outputs`` at ``positions`` (images, samples)."""
    read = windows(piece, maps)
    read = read.gather(3, positions[:, None, None].expand(*read.shape[:3], -1))
    kernels = piece.by_channel().unflatten(1, (len(piece.weight), -1))[:, outputs]
    return torch.einsum("icks,cisk->isc", read.double(), kernels.double())


def removal_order(gram: Tensor) -> Tensor:
    """(channels,) when each goes, 0 for the first: always the one with which all that are gone have the least squared sum.

    ``gram``: (channels, channels) products of contributions, summed over samples. The squared sum of a set is the sum of
    its block, which grows by G_ii + 2 sum_j G_ij, over j in the set, when i is added.
    """
    order = torch.empty(len(gram))
    growth = gram.diagonal().clone()
    for step in range(len(gram)):
        chosen = int(growth.argmin())
        order[chosen] = step
        growth += 2 * gram[chosen]
        growth[chosen] = torch.inf
    return order


class ThiNet(PruningMethod):
    """Remove, channel by channel, those whose sum the next layer misses least (Luo et al. 2017, section 3.2).

    An output of the next layer, its bias left out, is y = sum_c x_c, where x_c is what channel c adds. Over sampled outputs
    the set T of removed channels is to minimise sum (sum_{c in T} x_c)^2; it grows greedily by one channel at a time. In
    each image a few outputs are drawn, position and filter at random, of every layer that reads the group. The order of
    removal is the score, and every group keeps the same share.

    Deviations: all groups are judged in the whole network and go at once, without training after each; remaining channels
    are not rescaled by least squares; all readers of a group count together, where the paper leaves the channels of
    shortcuts whole; linear layers are pruned as well; the number of images does not depend on that of classes; one channel
    of every group always stays, and in a network of few channels some groups keep one or a few more or less than their
    share, to come within 5 % of the speedup.
    """

    batches: int
    batch_size: int
    samples: int

    def prune(self, job: Job) -> Pruned:
        grams = {g.position: torch.zeros(g.size, g.size, dtype=torch.float64, device=job.device) for g in job.groups()}

        def visit(group: ChannelGroup, piece: Slice, maps: Tensor) -> None:
            if piece.side == "in":
                sampled = (len(maps), self.samples)
                number = windows(piece, maps[:1]).shape[3]
                positions = torch.randint(number, sampled, generator=job.generator).to(job.device)
                outputs = torch.randint(len(piece.weight), sampled, generator=job.generator).to(job.device)
                added = contributions(piece, maps, positions, outputs).flatten(0, 1)
                grams[group.position] += added.T @ added

        for images, _ in job.train_batches(self.batches, self.batch_size):
            job.visit_channels(images, visit)
        return job.keep_channels({position: removal_order(gram) for position, gram in grams.items()}, scope="group")
