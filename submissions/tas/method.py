"""TAS: how wide each layer shall be is learned as a distribution, at a price on computation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import ChannelGroup, Job, Pruned, PruningMethod, Slice, Step


@functools.cache
def interpolation(given: int, made: int, size: int) -> Tensor:
    """(size, size): of the first ``given`` channels the first ``made``, by adaptive averages; the others are silent."""
    matrix = torch.zeros(size, size)
    matrix[:made, :given] = F.adaptive_avg_pool1d(torch.eye(given), made).T
    return matrix


def aggregation(widths: Sequence[int], shares: Tensor, size: int) -> Tensor:
    """(size, size): fragments of the ``widths``, interpolated to the widest of them and added up by their ``shares``."""
    fragments = torch.stack([interpolation(width, max(widths), size) for width in widths])
    return torch.einsum("k,kij->ij", shares, fragments.to(shares.device))


def across(matrix: Tensor, piece: Slice, values: Tensor) -> Tensor:
    """``matrix`` times the channels that the slice's layer reads."""
    if isinstance(piece.module, nn.Linear):
        return (matrix @ values.unflatten(-1, (-1, piece.width))).flatten(-2)
    return (matrix @ values.flatten(2)).view(values.shape)


def cost_loss(expected: Tensor, found: float, target: float, tolerance: float) -> Tensor:
    """log E where the network found costs too much, -log E where too little, 0 within ``tolerance`` of the target."""
    if found > (1 + tolerance) * target:
        return expected.log()
    return -expected.log() if found < (1 - tolerance) * target else expected * 0


class Tas(PruningMethod):
    """Learn a distribution over the widths of each group of channels, keep the likeliest (Dong and Yang 2019, section 3).

    The choices for C channels are shares of it. With p = softmax(logits) and Gumbel noise o, a step draws two of them by
    softmax((log p + o) / tau). What is passed on is the first c_1 and the first c_2 channels, each interpolated to the
    larger number of the two and weighted by the same softmax over these two alone. The loss has a price on E[MACs], the
    cost at expected widths: log E while the likeliest network is above the target, -log E while it is below, none near it.
    After the share ``share`` of the training, in which tau falls from ``hottest`` to ``coldest``, the likeliest widths are
    kept.

    Deviations: widths only, no depth; weights and distributions learn together, by one optimiser on the same batches, where
    the paper alternates; fragments are interpolated where they are read, behind a BatchNorm that all widths share; tau falls
    from 5, as in the authors' scripts, where the paper says from 10; E[MACs] takes widths for independent; the widths are
    scaled by one factor to meet the target; what is found keeps its weights and learns from labels, without distillation;
    one channel of every group stays; in a network of few channels one or a few stay or go against the order, to come within
    5 % of the speedup.
    """

    smallest: float
    choices: int
    share: float
    price: float
    tolerance: float
    hottest: float
    coldest: float

    def search(self, job: Job) -> dict[int, int]:
        """The likeliest width of each group, once network and distributions were trained together."""
        costs = job.costs()
        sizes = torch.tensor([group.size for group in job.groups()], device=job.device)
        ratios = torch.linspace(self.smallest, 1, self.choices, device=job.device)
        widths = (sizes[:, None] * ratios).round().clamp(min=1)
        logits = torch.zeros_like(widths, requires_grad=True)

        def perturbed() -> Tensor:
            return (logits.log_softmax(1) + job.memory["noise"]) / job.memory["tau"]

        def draw(progress: float) -> None:
            tau = self.hottest + (self.coldest - self.hottest) * min(progress / self.share, 1.0)
            waiting = torch.empty(logits.shape).exponential_(generator=job.generator)
            job.memory["tau"] = torch.tensor(tau, device=job.device)
            job.memory["noise"] = -waiting.clamp(min=1e-20).log().to(job.device)
            chances = perturbed().detach().softmax(1).clamp(min=1e-30).cpu()
            job.memory["drawn"] = torch.multinomial(chances, 2, generator=job.generator).to(job.device)

        def aggregate(group: ChannelGroup, piece: Slice) -> Callable[..., tuple[tuple[Tensor], dict[str, Tensor]]]:
            def before(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> tuple[tuple[Tensor], dict]:
                (values,) = (*inputs, *named.values())
                drawn = job.memory["drawn"][group.position]
                shares = perturbed()[group.position, drawn].softmax(0)
                fragments = widths[group.position, drawn].int().tolist()
                return (across(aggregation(fragments, shares, group.size), piece, values),), {}

            return before

        def likeliest() -> dict[int, int]:
            return dict(enumerate(widths.gather(1, logits.argmax(1, keepdim=True)).flatten().int().tolist()))

        def price(_: Step) -> Tensor:
            expected = costs.macs(dict(enumerate((logits.softmax(1) * widths).sum(1))))
            target = costs.dense_macs / job.speedup
            return self.price * cost_loss(expected, costs.macs(likeliest()), target, self.tolerance)

        draw(0.0)
        readers = [(group, piece) for group in job.groups() for piece in group.slices if piece.side == "in"]
        with ExitStack() as hooks:
            for group, piece in readers:
                hooks.enter_context(piece.module.register_forward_pre_hook(aggregate(group, piece), with_kwargs=True))
            epochs = max(round(self.share * job.epochs), 1)
            job.train(epochs, penalty=price, after_step=lambda step: draw(step.progress), learn=[logits])
        return likeliest()

    def prune(self, job: Job) -> Pruned:
        widths = self.search(job)
        places = {group.position: torch.arange(group.size, device=job.device) + 0.5 for group in job.groups()}
        kept = job.keep_channels({p: 1 - place / widths[p] for p, place in places.items()}, scope="global")
        job.channels = dict(kept.channels)
        if job.epochs_left:
            job.train(job.epochs_left)
        return kept
