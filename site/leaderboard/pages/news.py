"""What is new: when each method was last measured on each board, as a page and as an Atom feed (RFC 4287)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leaderboard.load import PUBLISHED, Board
from leaderboard.pages.site import Page, Site, board_of, board_title

IN_FEED = 50
"""The newest entries; a reader of feeds keeps the others."""


@dataclass(frozen=True)
class News:
    """The published records of one method on one board.

    Args:
        time: of the newest of them, as RFC 3339 has it.
        failed: how many of the ``cells`` are failures.
    """

    slug: str
    benchmark: str
    board: str
    anchor: str
    time: str
    cells: int
    failed: int

    @property
    def id(self) -> str:
        """The same for ever, until something is measured anew."""
        return f"urn:espalier:{self.anchor}:{self.slug}:{self.time}"


def news(site: Site) -> list[News]:
    """The newest first."""
    boards = (board_of(standings) for standings in site.standings)
    found = [one for board in boards if board.key.origin == PUBLISHED for one in _of_board(site, board)]
    return sorted(found, key=lambda one: (one.time, one.id), reverse=True)


def _of_board(site: Site, board: Board) -> Iterator[News]:
    title = board_title(site, board)
    benchmark = site.grid.benchmarks[board.key.benchmark].title
    anchor = ":".join((board.key.benchmark, board.key.track, board.key.division, board.key.recipe, board.key.device_class))
    for slug, rows in sorted(board.by_submission.items()):
        own = [row for row in rows if row.variant == "method"]
        if own:
            failed = sum(row.status != "ok" for row in own)
            newest = max(_rfc3339(row.created) for row in own)
            yield News(slug, benchmark, title, anchor, newest, len(own), failed)


def _rfc3339(created: str) -> str:
    return created.replace("+00:00", "Z")


def pages(site: Site) -> Iterator[Page]:
    """The page, and the feed that it offers."""
    entries = news(site)
    description = "When each method was measured on each benchmark, the newest first."
    yield Page("news.html", "news.html", "What is new", description, {"entries": entries})
    updated = entries[0].time if entries else "1970-01-01T00:00:00Z"
    yield Page("feed.xml", "feed.xml", "Espalier", description, {"entries": entries[:IN_FEED], "updated": updated})
