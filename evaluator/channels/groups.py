"""A group of channels: all the places in a network that lose a channel together when it is removed (Fang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from evaluator.networks import Prunable

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d
Side = Literal["out", "in", "norm", "through"]
"""How a module meets the channels: it makes them, reads them, normalises them, or convolves each by itself (depthwise)."""


@dataclass(frozen=True)
class Slice:
    """One place where a group's channels lie.

    Args:
        name: the module's qualified name.
        module: the layer itself, which is the model's own.
        side: ``"out"``, rows of a Conv2d or Linear; ``"in"``, columns of one; ``"norm"``, a BatchNorm's entries;
            ``"through"``, the kernels of a depthwise convolution.
        width: how many consecutive input features of a Linear belong to one channel, as after flattening maps of H x W
            pixels; 1 everywhere else.
    """

    name: str
    module: Prunable | BatchNorm
    side: Side
    width: int = 1

    @property
    def weight(self) -> Tensor:
        """A view of the layer's weight, for a BatchNorm its scale (gamma); it may be changed in place."""
        return self.module.weight.data

    def by_channel(self, tensor: Tensor | None = None) -> Tensor:
        """The weight, or another tensor of its shape such as its gradient, as (channels, everything else).

        A view of the tensor, except for the ``"in"`` side of kernels larger than one or of a width above one.
        """
        values = self.weight if tensor is None else tensor
        if self.side == "norm":
            return values.unsqueeze(1)
        if self.side == "in":
            outputs, features, *kernel = values.shape
            return values.reshape(outputs, features // self.width, self.width, *kernel).transpose(0, 1).flatten(1)
        return values.flatten(1)


@dataclass(frozen=True)
class ChannelGroup:
    """Channels 0 to ``size`` - 1, each of which can be removed from all ``slices`` at once and from nothing else.

    Args:
        position: index of the group in the network's order, from 0.
        size: number of channels, at least 1.
        slices: in the network's order; at least one is of the ``"out"`` side.
    """

    position: int
    size: int
    slices: tuple[Slice, ...]

    @property
    def filters(self) -> list[Tensor]:
        """(channels, weights of a filter) for each layer that makes the channels."""
        return [piece.by_channel() for piece in self.slices if piece.side == "out"]

    @property
    def scales(self) -> list[Tensor]:
        """(channels,) for each BatchNorm over the channels: its gamma."""
        return [piece.weight for piece in self.slices if piece.side == "norm"]

    @property
    def readers(self) -> list[Tensor]:
        """(channels, weights that read a channel) for each layer that reads the channels."""
        return [piece.by_channel() for piece in self.slices if piece.side == "in"]


def bound(groups: Sequence[ChannelGroup], model: nn.Module) -> list[ChannelGroup]:
    """The same groups over the modules of ``model``, another copy of the network that they are of."""

    def rebind(piece: Slice) -> Slice:
        return replace(piece, module=model.get_submodule(piece.name))  # type: ignore[arg-type]

    return [replace(group, slices=tuple(rebind(piece) for piece in group.slices)) for group in groups]
