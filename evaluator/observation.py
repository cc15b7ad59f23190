"""Looks into a network while it runs: what enters its layers, and what its channels carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.channels import ChannelGroup, Slice
from evaluator.errors import GridError
from evaluator.layers import Layer

VisitInputs = Callable[[Layer, Tensor], None]
VisitChannels = Callable[[ChannelGroup, Slice, Tensor], None]


def visit_inputs(model: nn.Module, layers: Sequence[Layer], images: Tensor, visit: VisitInputs) -> None:
    """See :meth:`evaluator.contract.Job.visit_inputs`."""
    visited: set[int] = set()

    def watch(layer: Layer) -> Callable[..., None]:
        def before(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            if layer.position not in visited:
                visited.add(layer.position)
                visit(layer, _first(inputs, named))  # whatever it returns must not become the layer's input

        return before

    _run(model, images, [layer.module.register_forward_pre_hook(watch(layer), with_kwargs=True) for layer in layers])
    names = {module: name for name, module in model.named_modules()}
    for layer in layers:
        if layer.position not in visited:
            what = f"nothing enters layer {layer.position}: the network has it, but does not call it"
            raise GridError(
                what, where=names[layer.module], fix="leave the layer out of the network, or call it as a module"
            )


def visit_channels(model: nn.Module, groups: Sequence[ChannelGroup], images: Tensor, visit: VisitChannels) -> None:
    """See :meth:`evaluator.contract.Job.visit_channels`."""

    def watch(group: ChannelGroup, piece: Slice) -> Any:
        def before(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            visit(group, piece, _maps(piece, _first(inputs, named)))

        def after(_: nn.Module, __: tuple[Tensor, ...], outputs: Tensor) -> None:
            visit(group, piece, _maps(piece, outputs))

        module = piece.module
        if piece.side == "in":
            return module.register_forward_pre_hook(before, with_kwargs=True)
        return module.register_forward_hook(after)

    _run(model, images, [watch(group, piece) for group in groups for piece in group.slices])


def _first(inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> Tensor:
    """What a layer was called with, by place or by name."""
    return inputs[0] if inputs else next(iter(named.values()))


def _maps(piece: Slice, values: Tensor) -> Tensor:
    """(images, channels, ...) of what a layer reads or makes; a Linear's features are the last dimension, not the second."""
    if isinstance(piece.module, nn.Linear):
        features = values.movedim(-1, 1)
        return features.reshape(len(features), -1, piece.width, *features.shape[2:]) if piece.width > 1 else features
    return values


def _run(model: nn.Module, images: Tensor, hooks: Sequence[Any]) -> None:
    with ExitStack() as stack:
        for hook in hooks:
            stack.callback(hook.remove)
        model.eval()
        with torch.no_grad():
            model(images)


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, BatchNorm normalises by each batch's own statistics and leaves its running ones alone."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tracking = [norm.track_running_stats for norm in norms]
    try:
        for norm in norms:
            norm.track_running_stats = False
            norm.train()
        yield
    finally:
        for norm, tracked in zip(norms, tracking, strict=True):
            norm.track_running_stats = tracked
        model.eval()
