"""Removes channels from a network, or silences them in place: two ways to the same function of the input."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from evaluator.channels.groups import ChannelGroup, Slice
from evaluator.errors import InvalidOutcome

Kept = Mapping[int, Tensor]
"""Position of a group -> boolean tensor (size,), True for the channels that stay; a group that is missing stays whole."""


def remove_channels(model: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> nn.Module:
    """A copy of ``model``, which may be any copy of the network the groups are of, without the channels that are not kept.

    Raises:
        InvalidOutcome: ``kept`` names a group that does not exist, is not boolean (size,), or leaves a group no channel.
    """
    _check(groups, kept)
    smaller = copy.deepcopy(model)
    for group in groups:
        if group.position in kept and not bool(kept[group.position].all()):
            chosen = kept[group.position].nonzero().flatten()
            for piece in group.slices:
                _select(smaller.get_submodule(piece.name), piece, chosen)
    return smaller


def silence(model: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> None:
    """Make the channels that are not kept zero for every input, in place; nothing changes its shape.

    Sets the filters and biases that make them and the scales and shifts that norm them to zero; what reads them is left.

    Raises:
        InvalidOutcome: as :func:`remove_channels`.
    """
    for parameter, stays in silenced(model, groups, kept):
        parameter.data[~stays] = 0


def silenced(model: nn.Module, groups: Sequence[ChannelGroup], kept: Kept) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """What :func:`silence` would set to zero: (parameter, boolean (channels,), False for the rows to go), on its device."""
    _check(groups, kept)
    for group in groups:
        if group.position not in kept:
            continue
        for piece in group.slices:
            if piece.side != "in":
                for parameter in model.get_submodule(piece.name).parameters(recurse=False):
                    yield parameter, kept[group.position].to(parameter.device)


def _check(groups: Sequence[ChannelGroup], kept: Kept) -> None:
    sizes = {group.position: group.size for group in groups}
    for position, mask in kept.items():
        if position not in sizes:
            raise InvalidOutcome(f"there is no channel group {position}", fix=f"groups 0 to {len(sizes) - 1}")
        if mask.dtype != torch.bool or mask.shape != (sizes[position],):
            raise InvalidOutcome(f"the mask of channel group {position} is not a boolean tensor ({sizes[position]},)")
        if not bool(mask.any()):
            raise InvalidOutcome(f"channel group {position} keeps no channel", fix="keep at least one of each group")


def _select(module: nn.Module, piece: Slice, chosen: Tensor) -> None:
    """Leave ``module`` only the ``chosen`` channels (indices) on the side of ``piece``."""
    if piece.side == "in":
        features = (chosen[:, None] * piece.width + torch.arange(piece.width, device=chosen.device)).flatten()
        _take(module, "weight", 1, features)
    else:
        for name in ("weight", "bias", "running_mean", "running_var"):
            if getattr(module, name, None) is not None:
                _take(module, name, 0, chosen)
    for size in _SIZES[piece.side]:
        if hasattr(module, size):
            setattr(module, size, len(chosen) * piece.width)


_SIZES = {
    "out": ("out_channels", "out_features"),
    "in": ("in_channels", "in_features"),
    "norm": ("num_features",),
    "through": ("in_channels", "out_channels", "groups"),
}
"""The attributes in which a layer tells its number of channels."""


def _take(module: nn.Module, name: str, dimension: int, indices: Tensor) -> None:
    old: Tensor = getattr(module, name)
    new = old.data.index_select(dimension, indices.to(old.device))
    setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
