"""What a network costs as a function of how many channels each group keeps, without building it.

A layer's weights are a product: kernel, times the outputs that are left, times the inputs that are left; its MACs are that
times the positions at which it is used. Equals :func:`evaluator.counting.count` of the materialised network exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from evaluator.channels.groups import ChannelGroup
from evaluator.counting import refuse_unknown, weight_uses


@dataclass(frozen=True)
class _Term:
    """``factor`` times the number of channels kept in each of ``groups``."""

    factor: int
    groups: tuple[int, ...]

    def value(self, kept: Mapping[int, int]) -> int:
        return self.factor * math.prod(kept[group] for group in self.groups)


@dataclass(frozen=True)
class Costs:
    """MACs and parameters of a network whose groups keep so many channels.

    Args:
        sizes: position of a group -> its number of channels.
    """

    sizes: Mapping[int, int]
    mac_terms: tuple[_Term, ...]
    parameter_terms: tuple[_Term, ...]

    def macs(self, kept: Mapping[int, int]) -> int:
        """Multiply-accumulates for one input when group g keeps ``kept[g]`` channels; a missing group stays whole."""
        numbers = {**self.sizes, **kept}
        return sum(term.value(numbers) for term in self.mac_terms)

    def parameters(self, kept: Mapping[int, int]) -> int:
        """Trainable parameters, as :meth:`macs`."""
        numbers = {**self.sizes, **kept}
        return sum(term.value(numbers) for term in self.parameter_terms)

    def speedup(self, kept: Mapping[int, int]) -> float:
        """MACs of the whole network over those that are left; at least 1."""
        return self.dense_macs / self.macs(kept)

    @cached_property
    def dense_macs(self) -> int:
        return self.macs({})

    @cached_property
    def highest_speedup(self) -> float:
        """With a single channel left in each group."""
        return self.speedup(dict.fromkeys(self.sizes, 1))


def channel_costs(model: nn.Module, shape: tuple[int, int, int], groups: Sequence[ChannelGroup]) -> Costs:
    """The costs of ``model`` for inputs of ``shape`` (C, H, W), as a function of what its ``groups`` keep.

    Raises:
        GridError: the network has layers that cannot be counted.
    """
    refuse_unknown(model)
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    for group in groups:
        for piece in group.slices:
            (columns if piece.side == "in" else rows)[piece.name] = group.position
    sizes = {group.position: group.size for group in groups}
    uses = weight_uses(model, shape)
    mac_terms, parameter_terms = [], []
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            sides = [rows, columns] if kind == "weight" else [rows]
            cut = tuple(side[name] for side in sides if name in side)
            term = _Term(parameter.numel() // math.prod(sizes[position] for position in cut), cut)
            if parameter.requires_grad:
                parameter_terms.append(term)
            if kind == "weight" and isinstance(module, nn.Conv2d | nn.Linear):
                mac_terms.append(_Term(term.factor * uses.get(name, 0), cut))
    return Costs(sizes, tuple(mac_terms), tuple(parameter_terms))
