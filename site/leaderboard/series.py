"""How a method looks in every chart and legend: a colour of the palette and a shape, the same on all pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

COLOURS = 10
"""Tokens ``--s0`` to ``--s9`` of the style sheet, chosen to stay apart for colour-blind readers, on light and on dark."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")

CROWD = 12
"""From so many methods on, a chart draws the first ones strongly and the rest faintly."""


@dataclass(frozen=True)
class Look:
    """Colour token and shape; the pairs repeat after 70 methods."""

    token: int
    shape: str

    @property
    def colour(self) -> str:
        return f"var(--s{self.token})"


def looks(kinds: Mapping[str, Hashable]) -> dict[str, Look]:
    """One look per slug, in alphabetical order; those of one kind, which stand on the same boards, differ the most."""
    found: dict[str, Look] = {}
    numbers: Counter[Hashable] = Counter()
    for slug, kind in sorted(kinds.items()):
        found[slug] = Look(numbers[kind] % COLOURS, SHAPES[numbers[kind] % len(SHAPES)])
        numbers[kind] += 1
    return found
