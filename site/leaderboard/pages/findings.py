"""The page of all findings; the first ones also stand on the home page."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboard.evidence import telling
from leaderboard.findings import findings
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import Page, Site, board_of


def pages(site: Site) -> Iterator[Page]:
    """The findings page."""
    boards = telling(site)
    context = {
        "findings": findings(site),
        "boards": len(boards),
        "local_only": bool(boards) and all(board_of(one).key.origin != PUBLISHED for one in boards),
    }
    description = "What the records say about pruning: sentences computed from the measurements, each with its evidence."
    yield Page("findings.html", "findings.html", "Findings", description, context, [], "findings")
