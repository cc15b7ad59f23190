"""Shapley values: what a channel adds to the network, over all orders in which channels may arrive."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.contract import Batch, ChannelGroup, Job, Pruned, PruningMethod, Slice

Worth = Callable[[Tensor], Tensor]
"""Of coalitions: (images, channels), 1 for who is in, 0 for who is not -> (images,)."""


@contextmanager
def prefix_kept(model: nn.Module, readers: list[nn.Module], images: Tensor) -> Iterator[None]:
    """Inside, modules that are done before any of ``readers`` begins return what they now return for ``images``.

    Coalitions change nothing before the readers, and there are many: what comes before is computed once for all.
    """
    calls: Counter[nn.Module] = Counter()
    entered: dict[nn.Module, list[Tensor]] = {}
    done: dict[nn.Module, Tensor] = {}

    def tensors(inputs: tuple[Any, ...], named: dict[str, Any]) -> list[Tensor]:
        return [value for value in (*inputs, *named.values()) if isinstance(value, Tensor)]

    def before(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        calls[module] += 1
        entered[module] = [value.clone() for value in tensors(inputs, named)]

    def after(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: object) -> None:
        as_it_was = all(
            map(torch.equal, entered.pop(module), tensors(inputs, named))
        )  # what it writes over it must do again
        if isinstance(output, Tensor) and as_it_was and not any(calls[reader] for reader in readers):
            for part in module.modules():
                done.pop(part, None)
            done[module] = output.clone()  # the network may write over it

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(after, with_kwargs=True).remove)
        model(images)
    once = [module for module in done if calls[module] == 1]
    for module in once:
        module.forward = lambda *_, kept=done[module], **__: kept.clone()
    try:
        yield
    finally:
        for module in once:
            del module.forward


@contextmanager
def game(model: nn.Module, group: ChannelGroup, batch: Batch) -> Iterator[Worth]:
    """The worth of coalitions of the group's channels: the probability of each image's label when the others are silent."""
    images, labels = batch
    readers = [piece for piece in group.slices if piece.side == "in"]
    present = torch.ones(len(images), group.size, device=images.device)

    def gate(piece: Slice) -> Callable[..., Tensor]:
        def before(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> tuple[tuple[Tensor], dict]:
            (values,) = (*inputs, *named.values())
            features = present.repeat_interleave(piece.width, dim=1)
            features = features.repeat_interleave(len(values) // len(images), dim=0)  # several tokens of each image
            ones = (1,) * (values.dim() - 2)
            shape = (*ones, -1) if isinstance(piece.module, nn.Linear) else (-1, *ones)
            return (values * features.view(len(values), *shape),), {}

        return before

    def worth(coalitions: Tensor) -> Tensor:
        present.copy_(coalitions)
        return model(images).softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1).double()

    with torch.no_grad(), prefix_kept(model, [piece.module for piece in readers], images), ExitStack() as stack:
        for piece in readers:
            stack.callback(piece.module.register_forward_pre_hook(gate(piece), with_kwargs=True).remove)
        yield worth


def mean_contributions(worth: Worth, orders: Tensor) -> Tensor:
    """(channels,) what a channel adds on arrival, on average over images; ``orders`` (images, channels), one for each."""
    present = torch.zeros(orders.shape, device=orders.device)
    added = torch.zeros(orders.shape, dtype=torch.float64, device=orders.device)
    before = worth(present)
    for arriving in orders.T.unsqueeze(2):
        after = worth(present.scatter_(1, arriving, 1.0))
        added.scatter_(1, arriving, (after - before).unsqueeze(1))
        before = after
    return added.mean(0)


class Shapley(PruningMethod):
    """Keep the channels of each group with the largest Shapley values, by permutations (Adamczewski et al. 2024, abstract).

    phi_c = mean over orders of v(those before c, and c) - v(those before c), where v(S) is how well the network does with
    only the channels S of the group, all other groups being whole. The values sum to v(all) - v(none). v is the mean
    probability of the right class on validation images: the accuracy of answers drawn by their probabilities, which counts
    small changes too. It is a mean over images, so each image may have an order of its own, which says more than one order
    for all at the same cost.

    Deviations: the authors take accuracy, and all validation images for each of their orders, where here a few images have
    one each; every group keeps the same share, where they choose widths by hand; channels that several layers make, as
    around a shortcut, are one player; without it nothing reaches who reads it, where they leave what a BatchNorm adds;
    their estimates from small coalitions and by regression are left out; one channel of every group always stays, and in a
    network of few channels some groups keep one or a few more or less than their share, to come within 5 % of the speedup.
    """

    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        model, groups = copy.deepcopy((job.model, job.groups()))
        totals = {g.position: torch.zeros(g.size, dtype=torch.float64, device=job.device) for g in groups}
        for batch in job.validation_batches(self.batches, self.batch_size):
            for group in groups:
                orders = torch.rand(len(batch[0]), group.size, generator=job.generator).argsort(1).to(job.device)
                with game(model, group, batch) as worth:
                    totals[group.position] += mean_contributions(worth, orders)
        return job.keep_channels(totals, scope="group")
