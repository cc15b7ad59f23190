"""How a method looks in every chart and legend: a colour of the palette and a shape, the same on all pages."""

from __future__ import annotations

from collections.abc import Iterable
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


def looks(slugs: Iterable[str]) -> dict[str, Look]:
    """One look per slug, in alphabetical order."""
    ordered = sorted(set(slugs))
    return {slug: Look(i % COLOURS, SHAPES[i % len(SHAPES)]) for i, slug in enumerate(ordered)}
