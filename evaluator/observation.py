"""Looks into a network while it runs: what enters its layers, and what its channels carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.channels import ChannelGroup, Slice
from evaluator.layers import Layer

VisitInputs = Callable[[Layer, Tensor], None]
VisitChannels = Callable[[ChannelGroup, Slice, Tensor], None]


def visit_inputs(model: nn.Module, layers: Sequence[Layer], images: Tensor, visit: VisitInputs) -> None:
    """See :meth:`evaluator.contract.Job.visit_inputs`."""

    def watch(layer: Layer) -> Callable[..., None]:
        def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            visit(layer, inputs[0])  # whatever it returns must not become the layer's input

        return before

    _run(model, images, [layer.module.register_forward_pre_hook(watch(layer)) for layer in layers])


def visit_channels(model: nn.Module, groups: Sequence[ChannelGroup], images: Tensor, visit: VisitChannels) -> None:
    """See :meth:`evaluator.contract.Job.visit_channels`."""

    def watch(group: ChannelGroup, piece: Slice) -> Any:
        def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            visit(group, piece, _maps(piece, inputs[0]))

        def after(_: nn.Module, __: tuple[Tensor, ...], outputs: Tensor) -> None:
            visit(group, piece, _maps(piece, outputs))

        module = piece.module
        return module.register_forward_pre_hook(before) if piece.side == "in" else module.register_forward_hook(after)

    _run(model, images, [watch(group, piece) for group in groups for piece in group.slices])


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
