"""What a pruned network holds and computes, counted from masks and shapes, never from zero values.

MACs: multiply-accumulates of Conv and Linear for one input, groups, stride and padding respected, 1 MAC = 1; biases,
BatchNorm, activations and pooling are not counted (protocol, section 1). Nor are the two matrix products of attention, in
which no weight takes part; its projections are linear layers like any other, used once for each token.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.errors import GridError
from evaluator.networks import prunable_layers
from evaluator.records import Counts, LayerCount

Masks = Mapping[int, Tensor]
"""Position of a prunable layer -> boolean tensor of its weight's shape, True where the weight is kept."""


def count(model: nn.Module, classifier: str, shape: tuple[int, int, int], masks: Masks) -> Counts:
    """All counts of ``model`` under ``masks``; a layer without a mask is dense.

    Raises:
        GridError: the network has layers that cannot be counted, or operations through which no path can be followed.
    """
    layers = prunable_layers(model, classifier)
    kept = {name: int(masks[i].sum()) for i, (name, _) in enumerate(layers) if i in masks}
    refuse_unknown(model)
    seen = weight_uses(model, shape)
    sizes = {name: module.weight.numel() for name, module in _weighted(model)}
    uses = {name: seen.get(name, 0) for name in sizes}  # a layer that is never run costs nothing
    trained = {name for name, module in _weighted(model) if module.weight.requires_grad}
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    paths = _paths(model, classifier, shape, masks)
    dead = sum(kept.get(name, sizes[name]) - number for name, number in paths.alive.items() if name in trained)
    if dead and _lost(model, classifier, shape):
        raise GridError(
            "its paths cannot be followed: without any mask, signals cancel out or a layer that is used leads nowhere",
            where=type(model).__name__,
            fix="write norms and softmax as modules of torch.nn, without scales of its own; or teach evaluator/counting.py",
        )
    remaining = parameters - sum(sizes[name] - number for name, number in kept.items() if name in trained)
    return Counts(
        parameters=parameters,
        kept=remaining,
        effective=remaining - dead,
        macs=sum(sizes[name] * uses[name] for name in sizes),
        macs_kept=sum(kept.get(name, sizes[name]) * uses[name] for name in sizes),
        speedup_kind="mask",
        collapsed=paths.collapsed,
        layers=[
            LayerCount(position=i, shape=list(module.weight.shape), kept=kept.get(name, module.weight.numel()))
            for i, (name, module) in enumerate(layers)
        ],
    )


def weight_uses(model: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """How often each weight of a Conv or Linear layer is used for one input: its number of output positions."""
    uses: dict[str, int] = {}
    hooks = []
    for name, module in _weighted(model):

        def record(layer: nn.Module, _: object, output: Tensor, name: str = name) -> None:
            channels = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
            uses[name] = uses.get(name, 0) + output.numel() // int(channels)  # type: ignore[arg-type]

        hooks.append(module.register_forward_hook(record))
    training = model.training
    try:
        model.eval()
        with torch.no_grad():
            answer(model, torch.zeros(1, *shape, device=next(model.parameters()).device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return uses


def answer(model: nn.Module, images: Tensor) -> Tensor:
    """The logits. Raises GridError where a network answers with anything else."""
    logits = model(images)
    if not isinstance(logits, Tensor):
        what = f"the network answers with a {type(logits).__name__}, where logits are one tensor"
        raise GridError(what, where=type(model).__name__, fix="let it return the logits alone in eval mode")
    return logits


def refuse_unknown(model: nn.Module) -> None:
    """Counting part of a network would be worse than counting none of it."""
    unknown = (
        *(nn.Conv1d, nn.Conv3d, nn.modules.conv._ConvTransposeNd, nn.Bilinear, nn.Embedding, nn.RNNBase),
        nn.MultiheadAttention,
    )
    for name, module in model.named_modules():
        if isinstance(module, unknown):
            raise GridError(f"{type(module).__name__} cannot be counted yet", where=name, fix="teach evaluator/counting.py")


def _weighted(model: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


class _Paths(NamedTuple):
    """Of a network under masks.

    Args:
        alive: by layer, how many kept weights some path joins to both input and logits.
        collapsed: no path is left at all.
        certain: signals only ever add up, as they do where paths can be followed.
    """

    alive: dict[str, int]
    collapsed: bool
    certain: bool


def _paths(model: nn.Module, classifier: str, shape: tuple[int, int, int], masks: Masks) -> _Paths:
    """Which weights lie on a path from the input to the logits.

    In a copy whose weights are positive and whose other operations let every positive signal pass, a weight lies on such
    a path exactly when the logits have a positive derivative with respect to it.
    """
    probe = copy.deepcopy(model).to("cpu", torch.float64).requires_grad_()
    _open_gates(probe)
    positions = {name: i for i, (name, _) in enumerate(prunable_layers(probe, classifier))}
    kept = {name: torch.ones_like(layer.weight, dtype=torch.bool) for name, layer in _weighted(probe)}
    kept |= {name: masks[i].cpu() for name, i in positions.items() if i in masks}
    for parameter in probe.parameters():
        parameter.data.zero_()  # biases, tokens and positions come from nowhere
    for name, layer in _weighted(probe):
        mask = kept[name]
        fan_in = mask.flatten(1).sum(1).clamp(min=1).double().mean()
        layer.weight.data = mask.double() / fan_in
    logits = probe.eval()(torch.ones(1, *shape, dtype=torch.float64)).sum()
    weights = [layer.weight for _, layer in _weighted(probe)]
    gradients = torch.autograd.grad(logits, weights, allow_unused=True) if logits.requires_grad else [None] * len(weights)
    alive = {
        name: 0 if gradient is None else int((kept[name] & (gradient > 0)).sum())
        for (name, _), gradient in zip(_weighted(probe), gradients, strict=True)
    }
    certain = all(gradient is None or bool((gradient >= 0).all()) for gradient in gradients)
    return _Paths(alive, not bool(logits > 0), certain)


def _lost(model: nn.Module, classifier: str, shape: tuple[int, int, int]) -> bool:
    """Whether no path can be followed even where nothing is pruned: none is left, none through a layer on which the logits
    depend, or signals cancel out. Of a kernel that mostly sees padding, some weights may truly be on none."""
    whole = _paths(model, classifier, shape, {})
    return whole.collapsed or not whole.certain or not all(whole.alive[name] for name in _reaching(model, shape))


def _reaching(model: nn.Module, shape: tuple[int, int, int]) -> list[str]:
    """Names of the layers on whose weights the logits depend."""
    probe = copy.deepcopy(model).to("cpu", torch.float64).eval().requires_grad_()
    logits = answer(probe, torch.zeros(1, *shape, dtype=torch.float64)).sum()
    layers = _weighted(probe)
    gradients = torch.autograd.grad(logits, [layer.weight for _, layer in layers], allow_unused=True)
    return [name for (name, _), gradient in zip(layers, gradients, strict=True) if gradient is not None]


_GATES = (
    nn.modules.batchnorm._NormBase,
    nn.modules.dropout._DropoutNd,
    *(nn.GroupNorm, nn.LocalResponseNorm),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh),
)


class _Scaled(nn.Module):
    """In place of a norm of features: lets every signal pass, and keeps attention, which multiplies signals, in bounds."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.detach().mean().clamp(min=torch.finfo(x.dtype).tiny)


class _EvenShares(nn.Module):
    """In place of a Softmax: shares that grow with every signal, but are never nothing: values pass without queries, too."""

    def forward(self, x: Tensor) -> Tensor:
        return (1 + x / x.detach().amax().clamp(min=1)) / x.shape[-1]


class _MeanOfWindow(nn.Module):
    """In place of a MaxPool2d, over the same windows: lets every signal in a window pass, not the largest alone."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        size, stride, before, spread = (
            _pair(value) for value in (self.pool.kernel_size, self.pool.stride, self.pool.padding, self.pool.dilation)
        )
        room: list[int] = []
        for side, windows in enumerate(self.pool(x).shape[2:]):
            needed = (windows - 1) * stride[side] + spread[side] * (size[side] - 1) + 1
            room = [before[side], needed - before[side] - x.shape[2 + side], *room]  # F.pad counts from the last side
        kernel = x.new_full((x.shape[1], 1, *size), 1 / (size[0] * size[1]))
        return F.conv2d(F.pad(x, room), kernel, None, stride, 0, spread, groups=x.shape[1])


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _open_gates(module: nn.Module) -> None:
    """Replace whatever may block a positive signal by something that lets it pass."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, _MeanOfWindow(child))
        elif isinstance(child, nn.LayerNorm | nn.RMSNorm):
            setattr(module, name, _Scaled())
        elif isinstance(child, nn.Softmax):
            setattr(module, name, _EvenShares())
        elif isinstance(child, _GATES):
            setattr(module, name, nn.Identity())
        else:
            _open_gates(child)
