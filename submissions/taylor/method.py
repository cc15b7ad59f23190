"""First-order Taylor expansion: while the network trains, channels whose removal would change the loss least go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Step
from evaluator.selection import keep_top_globally


def gates(group: ChannelGroup) -> list[torch.nn.Module]:
    """Where a gate on the channels would be: the BatchNorms over them, or without any the layers that make them."""
    norms = [piece.module for piece in group.slices if piece.side == "norm"]
    return norms or [piece.module for piece in group.slices if piece.side == "out"]


def contributions(groups: Sequence[ChannelGroup]) -> Tensor:
    """(sum_s g_s w_s)^2 of the channels of all groups, from a step's gradients; s runs over the parameters of its gates."""
    sums = []
    for group in groups:
        parameters = [p for module in gates(group) for p in module.parameters(recurse=False)]
        products = [(p.detach() * p.grad).double().reshape(len(p), -1).sum(1) for p in parameters]
        sums.append(torch.stack(products).sum(0))
    return torch.cat(sums).square()


def fewer(job: Job, scores: Mapping[int, Tensor], share: float) -> dict[int, Tensor]:
    """What stays once the given share of those channels goes that the target would now remove, lowest scores first."""
    ranked = {p: torch.where(job.channels[p], score, -1.0) for p, score in scores.items()}
    target = job.keep_channels(ranked, scope="global").channels
    staying, final = (sum(int(mask.sum()) for mask in kept.values()) for kept in (job.channels, target))
    order = {p: torch.where(target[p], torch.inf, score) for p, score in ranked.items()}
    return keep_top_globally(order, staying - round(share * (staying - final)))


class Taylor(PruningMethod):
    """Remove the channels of smallest (sum_s g_s w_s)^2, some at a time (Molchanov et al. 2019, equation 8).

    The sum is the first-order change of a minibatch's loss when the channel is gated off. A gate z = 1 behind a
    BatchNorm, which the paper finds best, has the gradient gamma dL/dgamma + beta dL/dbeta, so that s runs over scale and
    shift; without a BatchNorm it runs over the filter and its bias. A channel that has several gates, as around a shortcut
    or through a depthwise convolution, is one set of parameters. A removal goes by the mean over the minibatches since the
    last one, averaged over removals: score <- m score + (1 - m) mean. ``removals`` are spread evenly over the share
    ``until`` of the training, and each takes its part of the channels that still have to go for the target.

    Deviations: gates in a row add up, where one alone would do; the paper removes 100 channels after every 30 minibatches,
    at rates from 0.001 and, in the authors' runs, without weight decay; the average starts at zero, in the authors' code at
    the first mean; gates around a shortcut sit behind each layer, where the authors' sit behind the sum and the activation
    of each block, and divide the score by the number of blocks; a layer without BatchNorm beside one that has it is no gate;
    at least one channel of every group stays; in a network of few channels one that went may come back, without its weights,
    where the target would be missed by more than 5 %.
    """

    removals: int
    until: float
    momentum: float

    def due(self, number: int, steps: int) -> int:
        """How many removals there have been after ``number`` of ``steps``."""
        return int(self.removals * min(number / (self.until * steps), 1.0))

    def prune(self, job: Job) -> Pruned:
        groups, memory = job.groups(), job.memory
        sizes = [group.size for group in groups]
        job.channels = {g.position: torch.ones(g.size, dtype=torch.bool, device=job.device) for g in groups}
        nothing = torch.zeros(sum(sizes), dtype=torch.float64, device=job.device)
        memory.update({"sum": nothing, "batches": nothing[:1], "score": nothing})

        def after_backward(_: Step) -> None:
            memory["sum"] = memory["sum"] + contributions(groups)
            memory["batches"] = memory["batches"] + 1

        def after_step(step: Step) -> None:
            before, now = self.due(step.number, step.steps), self.due(step.number + 1, step.steps)
            if now > before:
                mean = memory["sum"] / memory["batches"]
                memory["score"] = self.momentum * memory["score"] + (1 - self.momentum) * mean
                memory.update({"sum": nothing, "batches": nothing[:1]})
                scores = dict(enumerate(memory["score"].split(sizes)))
                job.channels.update(fewer(job, scores, (now - before) / (self.removals - before)))

        job.train(job.epochs, after_backward=after_backward, after_step=after_step)
        return Pruned(channels=job.channels)
