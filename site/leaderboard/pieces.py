"""Parts of pages as they were rendered, with what was seen of them: kept, they are neither made nor looked at again.

The first line of what is kept holds the facts, as JSON; the text follows as it stands in the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leaderboard.pages.site import Chart
from leaderboard.search import Found
from leaderboard.verify import Leaf

PLACE = "<part-{}>"
"""Where a part goes in the text of its page: no contributed string can say so, since its bracket would be escaped."""


@dataclass(frozen=True)
class Piece:
    """A rendered part; ``specifications``: the JSON of each of its charts, in the order of ``heads``, what else is known of
    them."""

    text: str
    leaf: Leaf
    found: Found
    heads: list[dict[str, Any]]
    specifications: list[str]

    def charts(self) -> Iterator[Chart]:
        """Read one by one: mostly the first is enough."""
        for head, specification in zip(self.heads, self.specifications, strict=True):
            yield Chart(spec=json.loads(specification), **head)


def pack(piece: Piece) -> str:
    """As it is kept."""
    leaf, found = piece.leaf, piece.found
    facts = (leaf.problems, sorted(leaf.identifiers), list(leaf.leads), found.places, sorted(found.words), piece.heads,
             piece.specifications)  # fmt: skip
    return f"{json.dumps(facts)}\n{piece.text}"


def unpack(kept: str) -> Piece:
    """As it was packed."""
    line, _, text = kept.partition("\n")
    problems, identifiers, leads, places, words, heads, specifications = json.loads(line)
    leaf = Leaf(problems, set(identifiers), dict.fromkeys(leads))
    return Piece(text, leaf, Found(places, set(words)), heads, specifications)


def places(count: int) -> list[Markup]:
    """What a page's template gets in place of its parts."""
    return [Markup(PLACE.format(number)) for number in range(count)]  # noqa: S704  (no string of others)


def put(frame: str, pieces: list[Piece]) -> str:
    """The text of a page, with its parts in their places."""
    parts = []
    for number, piece in enumerate(pieces):
        before, _, frame = frame.partition(PLACE.format(number))
        parts += [before, piece.text]
    return "".join([*parts, frame])
