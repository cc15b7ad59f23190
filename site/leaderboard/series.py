"""How a method looks in every chart and legend: a colour of the palette and a shape, the same on all pages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

COLOURS = 10
"""Tokens ``--s0`` to ``--s9`` of the style sheet, chosen to stay apart for colour-blind readers, on light and on dark."""

PATHS = {
    "hourglass": "M-1,-1L1,-1L-1,1L1,1Z",
    "saltire": "M-1,-.45L-.45,-1L0,-.55L.45,-1L1,-.45L.55,0L1,.45L.45,1L0,.55L-.45,1L-1,.45L-.55,0Z",
    "bowtie": "M-1,-1L-1,1L1,-1L1,1Z",
}
"""Outlines of the shapes that Vega has no name for, between -1 and 1."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "hourglass", "saltire",
          "triangle-left", "bowtie")  # fmt: skip
"""Their number and that of the colours have no common divisor, so that a pair comes back only after the product of both."""

CROWD = 12
"""From so many methods on, a chart draws the first ones strongly and the rest faintly."""


@dataclass(frozen=True)
class Look:
    """Colour token and shape; the pairs repeat after 110 methods."""

    token: int
    shape: str

    @property
    def colour(self) -> str:
        return f"var(--s{self.token})"


def looks(kinds: Mapping[str, Hashable]) -> dict[str, Look]:
    """One look per slug; those of one kind, which stand on the same boards, follow each other and so differ the most."""
    ordered = sorted(kinds, key=lambda slug: (repr(kinds[slug]), slug))
    return {slug: Look(number % COLOURS, SHAPES[number % len(SHAPES)]) for number, slug in enumerate(ordered)}
