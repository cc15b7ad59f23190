"""How a method looks in every chart and legend: a colour of the palette and a shape, the same on all pages."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from evaluator.canonical import seed_of

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
"""In the order in which one stands in for another. Their number and that of the colours have no common divisor, so that in
turn a pair comes back only after the product of both."""

SALT = 299354
"""Of many that were tried, the one by which the first methods spread best over the palette; another changes every look."""

CROWD = 12
"""From so many methods on, a chart draws the first ones strongly and the rest faintly."""


@dataclass(frozen=True)
class Look:
    """Colour token and shape."""

    token: int
    shape: str

    @property
    def colour(self) -> str:
        return f"var(--s{self.token})"


def looks(charts: Mapping[str, Collection[Hashable]]) -> dict[str, Look]:
    """The look of every slug, given the charts in which it may stand.

    A slug alone decides it, so that it is the same in a preview and when others have come. Only where two of one chart would
    be alike, the later one (in an order that slugs alone decide too) takes the next shape that is free there, and keeps its
    colour, unless that has no shape left.
    """
    found: dict[str, Look] = {}
    taken: dict[Hashable, set[Look]] = {}
    for number, slug in sorted((seed_of("look", SALT, slug), slug) for slug in charts):
        beside = set().union(*(taken.setdefault(chart, set()) for chart in charts[slug]))
        found[slug] = next((look for look in _wished(number) if look not in beside), _at(number))
        for chart in charts[slug]:
            taken[chart].add(found[slug])
    return found


def in_turn(names: Iterable[str]) -> dict[str, Look]:
    """Looks that differ the most, for series whose company does not change."""
    ordered = enumerate(sorted(names))
    return {name: Look(number % COLOURS, SHAPES[number % len(SHAPES)]) for number, name in ordered}


def _wished(number: int) -> Iterator[Look]:
    """All looks, the most wanted first."""
    for other in range(COLOURS):
        for step in range(len(SHAPES)):
            yield _at(number + other + COLOURS * step)


def _at(number: int) -> Look:
    return Look(number % COLOURS, SHAPES[number // COLOURS % len(SHAPES)])
