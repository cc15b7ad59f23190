"""LRP: channels through which little of a decision's relevance flows go.

Hooks give a copy of the network such a gradient that value times gradient is relevance; what it computes stays as it is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from evaluator.contract import Batch, ChannelGroup, Job, Pruned, PruningMethod

LAYERS = (nn.Conv2d, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
PASSING = (*BATCH_NORMS, nn.LayerNorm, nn.ReLU6, nn.GELU)
"""Modules that hand relevance through, element by element."""
EPSILON = 1e-6
"""Share of a layer's mean sum by which sums are kept from zero: more than their rounding errors."""
SILENT = 1e-20
"""What is smaller, as where a filter has decayed to nothing, is zero."""


def never_zero(values: Tensor) -> Tensor:
    """A divisor by which nothing comes of zero."""
    return values.where(values.abs() > SILENT, torch.inf)


def carry(z: Tensor, output: Tensor, divisor: Tensor) -> Tensor:
    """``output``, with such a gradient that relevance, which is value times gradient, is shared out as z is made up."""
    return output.detach() + (z - z.detach()) * (output / divisor).detach()


def speckle(*shape: int) -> Tensor:
    """An image of values from -3 to 3 without a pattern, so that hardly a sum is positive everywhere; nothing is drawn."""
    return 3 * torch.arange(math.prod(shape), dtype=torch.float64).square().sin().view(1, *shape).float()


def signs_of_scales(model: nn.Module, images: Tensor) -> dict[nn.Module, Tensor]:
    """For each layer that a BatchNorm follows, the last if several do: (channels,) the signs that folding would give it."""
    makers: dict[Tensor, tuple[nn.Module, Tensor]] = {}
    signs = {}

    def remember(layer: nn.Module, _: tuple[Tensor], output: Tensor) -> None:
        makers[output] = layer, output.clone()

    def look(norm: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], _: Tensor) -> None:
        (read,) = (*inputs, *named.values())
        layer, made = makers.get(read, (None, None))
        if layer is not None and torch.equal(read, made) and norm.weight is not None:  # not written over meanwhile
            signs[layer] = norm.weight.detach().sign()

    layers = [module.register_forward_hook(remember) for module in model.modules() if isinstance(module, LAYERS)]
    norms = [
        module.register_forward_hook(look, with_kwargs=True) for module in model.modules() if isinstance(module, BATCH_NORMS)
    ]
    with torch.no_grad():
        model(images)
    for hook in (*layers, *norms):
        hook.remove()
    return signs


def share_by_positive_parts(layer: nn.Module, signs: Tensor | None) -> Callable[..., Tensor]:
    """A hook for the z+ rule: z_j = sum_i (x_i w_ij)^+, of weights with the ``signs`` of scales; biases get nothing."""
    bare, w = copy.deepcopy(layer), layer.weight
    bare.bias = None
    if signs is not None:
        w = w * signs.view(-1, *[1] * (w.ndim - 1))

    def times(x: Tensor, weight: Tensor) -> Tensor:
        made: Tensor = functional_call(bare, {"weight": weight}, x)
        return made

    def share(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> Tensor:
        (x,) = (*inputs, *named.values())
        z = times(x.clamp(min=0), w.clamp(min=0)) + times(x.clamp(max=0), w.clamp(max=0))
        return carry(z, output, z + EPSILON * z.mean().clamp(min=1e-12))

    return share


def share_one_to_one(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> Tensor:
    (x,) = (*inputs, *named.values())
    return carry(x, output, never_zero(x))


def instrumented(job: Job) -> tuple[nn.Module, list[ChannelGroup]]:
    """A copy of the model in which value times gradient is relevance, and its groups."""
    model, groups = copy.deepcopy((job.model, job.groups()))
    for module in model.requires_grad_(False).modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    signs = signs_of_scales(model, speckle(*job.shape).to(job.device))
    for module in model.modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(share_by_positive_parts(module, signs.get(module)), with_kwargs=True)
        elif isinstance(module, PASSING):
            module.register_forward_hook(share_one_to_one, with_kwargs=True)
    return model, groups


def relevance(model: nn.Module, layers: Sequence[nn.Module], batch: Batch) -> list[Tensor]:
    """Of everything that each layer makes, for the label of each image; it starts with 1 per image.

    A layer that is used several times has (uses * images, ...), one use after the other.
    """
    made: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: nn.Module, _: tuple[Tensor], output: Tensor) -> Tensor:
        made[layer].append(output)
        return output.clone()  # the network may write over it

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    logits = model(batch[0].clone().requires_grad_()).gather(1, batch[1].unsqueeze(1))
    for hook in hooks:
        hook.remove()
    outputs = [output for layer in layers for output in made[layer]]
    gradients = torch.autograd.grad((logits / never_zero(logits).detach()).sum(), outputs)
    flows = iter([output.detach() * gradient for output, gradient in zip(outputs, gradients, strict=True)])
    return [torch.cat([next(flows) for _ in made[layer]]) for layer in layers]


class LRP(PruningMethod):
    """Keep the channels of largest relevance for the right answers, wherever they are (Yeom et al. 2021, abstract).

    Layer-wise relevance propagation hands an output's relevance back: R_i = sum_j (x_i w_ij)^+ / sum_k (x_k w_kj)^+ R_j
    through convolutions and linear layers (alpha 1, beta 0; biases get none), unchanged through activations and BatchNorm,
    the signs of whose scales the weights before it take as if it were folded in, to the winner of a maximum, and in
    proportion through averages and sums, as around a shortcut. Each image starts with 1 at the logit of its label. Along
    a chain every layer conserves it, as far as something positive enters its sums, which makes layers comparable, and
    there is one threshold; beside a shortcut a branch holds a part of it alone. A channel's score is sum |R| over
    images, positions, and the layers that make it.

    Deviations: all channels go at once, where the paper removes a few at a time and computes relevance anew; features of
    linear layers compete as well, where the authors' code ranks filters of convolutions alone, and can divide by a layer's
    sum; positive parts in linear layers too, where that code takes the epsilon rule; what the layers that make a channel
    get is added up; relevance is lost where nothing positive enters a sum, and a millionth of the mean is added to all
    sums; LayerNorm is passed as BatchNorm is; attention, and activations that are no modules, hand on value times gradient;
    256 images are enough; of every group at least one channel stays; in a network of few channels one or a few stay or go
    against the order, to come within 5 % of the speedup.
    """

    batches: int
    batch_size: int

    def prune(self, job: Job) -> Pruned:
        model, groups = instrumented(job)
        owners = [(group.position, piece.module) for group in groups for piece in group.slices if piece.side == "out"]
        totals = {g.position: torch.zeros(g.size, dtype=torch.float64, device=job.device) for g in groups}
        for batch in job.train_batches(self.batches, self.batch_size):
            flows = relevance(model, [layer for _, layer in owners], batch)
            for (position, layer), flow in zip(owners, flows, strict=True):
                by_channel = flow.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0)
                totals[position] += by_channel.abs().flatten(1).sum(1, dtype=torch.float64)
        return job.keep_channels(totals, scope="global")
