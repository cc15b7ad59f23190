"""All methods in one list, with the facets that tell them apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evaluator.metadata import Metadata
from leaderboard import words
from leaderboard.facets import all_traits, choice
from leaderboard.pages.site import Page, Site, board_of


@dataclass(frozen=True)
class Row:
    slug: str
    title: str
    metadata: Metadata | None
    benchmarks: list[str]

    @property
    def tracks(self) -> str:
        """Open to the method, in words."""
        return ", ".join(words.TRACKS[track].title.lower() for track in self.metadata.tracks) if self.metadata else ""


def pages(site: Site) -> Iterator[Page]:
    """The list of methods."""
    measured: dict[str, list[str]] = {}
    for standings in site.standings:
        board = board_of(standings)
        for slug in board.by_submission:
            names = measured.setdefault(slug, [])
            if board.key.benchmark not in names:
                names.append(board.key.benchmark)
    rows = [
        Row(slug, site.titles[slug], site.submissions[slug].metadata if slug in site.submissions else None,
            measured.get(slug, []))
        for slug in sorted(site.slugs, key=lambda slug: (site.titles[slug].lower(), slug))
    ]  # fmt: skip
    traits = all_traits(site.submissions, site.slugs)
    context = {"rows": rows, "traits": traits, "choice": choice(traits)}
    description = "Every pruning method that was submitted, with what it needs and where it was measured."
    yield Page("methods.html", "methods.html", "Methods", description, context, [], "methods")
