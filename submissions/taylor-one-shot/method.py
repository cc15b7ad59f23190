"""First-order Taylor expansion: channels whose removal would change the loss least go."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Batch, ChannelGroup, Job, Pruned, PruningMethod


def gates(group: ChannelGroup) -> list[torch.nn.Module]:
    """Where a gate on the channels would be: the BatchNorms over them, or without any the layers that make them."""
    norms = [piece.module for piece in group.slices if piece.side == "norm"]
    return norms or [piece.module for piece in group.slices if piece.side == "out"]


def contributions(job: Job, batch: Batch) -> list[Tensor]:
    """(sum_s g_s w_s)^2 of every channel, group by group; s runs over the parameters of its gates."""
    parameters = [[p for module in gates(group) for p in module.parameters(recurse=False)] for group in job.groups()]
    gradients = iter(torch.autograd.grad(job.loss(batch), [p for part in parameters for p in part]))
    products = [[(p.detach() * next(gradients)).double().reshape(len(p), -1).sum(1) for p in part] for part in parameters]
    return [torch.stack(part).sum(0).square() for part in products]


class TaylorOneShot(PruningMethod):
    """Keep the channels of largest E[(sum_s g_s w_s)^2], wherever they are (Molchanov et al. 2019, equation 8).

    The sum is the first-order change of a minibatch's loss when the channel is gated off. A gate z = 1 behind a
    BatchNorm, which the paper finds best, has the gradient gamma dL/dgamma + beta dL/dbeta, so that s runs over scale and
    shift; without a BatchNorm it runs over the filter and its bias. A channel that has several gates, as around a shortcut
    or through a depthwise convolution, is one set of parameters. The loss is comparable everywhere, hence so are the
    scores, and there is one threshold.

    Deviations: gates in a row add up, where one alone would do; all channels go at once, by the mean of the scores, where
    the paper removes a few at a time between steps of training; gradients in eval mode; gates around a shortcut behind each
    layer, where the authors' sit behind the sum and the activation of each block, and divide the score by the number of
    blocks; at least one channel of every group stays; in a network of few channels one or a few stay or go against the
    order, to come within 5 % of the speedup.
    """

    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        total = [torch.zeros(group.size, dtype=torch.float64, device=job.device) for group in job.groups()]
        for batch in job.train_batches(self.batches, self.batch_size):
            total = [old + new for old, new in zip(total, contributions(job, batch), strict=True)]
        return job.keep_channels(dict(enumerate(total)), scope="global")
