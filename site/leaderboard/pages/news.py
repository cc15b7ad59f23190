"""What is new: when each method was last measured on each board, and what changed; a page and an Atom feed (RFC 4287)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leaderboard.load import PUBLISHED, Board
from leaderboard.pages import changes
from leaderboard.pages.changes import Revision
from leaderboard.pages.site import Page, Site, board_of, board_title

IN_FEED = 50
"""The newest entries; a reader of feeds keeps the others."""
IN_ENTRY = 20
"""Changes that an entry of the feed names; the page has all of them."""


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


@dataclass(frozen=True)
class Item:
    """An entry of the feed."""

    id: str
    title: str
    time: str
    href: str
    summary: str


def _measured(site: Site, one: News) -> Item:
    failed = f", {one.failed} of them failed" if one.failed else ""
    summary = f"{one.board}: {one.cells} cells measured{failed}."
    return Item(one.id, f"{site.titles[one.slug]} on {one.benchmark}", one.time, f"methods/{one.slug}.html", summary)


def _changed(one: Revision) -> Item:
    lines = [line.sentence for line in one.lines[:IN_ENTRY]]
    more = [f"and {len(one.lines) - IN_ENTRY} more"] if len(one.lines) > IN_ENTRY else []
    summary = f"{one.board}. " + ". ".join([*lines, *more]) + "."
    return Item(one.id, f"Changed: {one.title} on {one.benchmark}", one.time, f"changes.html#{one.fragment}", summary)


def news(site: Site) -> list[News]:
    """The newest first."""
    boards = (board_of(standings) for standings in site.standings)
    found = [one for board in boards if board.key.origin == PUBLISHED for one in _of_board(site, board)]
    return sorted(found, key=lambda one: (one.time, one.id), reverse=True)


def items(site: Site) -> list[Item]:
    """What was measured and what changed, the newest first."""
    found = [*(_measured(site, one) for one in news(site)), *map(_changed, changes.revisions(site))]
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
    """The page, the changelog of results, and the feed that both offer."""
    entries, revisions, listed = news(site), changes.revisions(site), items(site)
    description = "When each method was measured on each benchmark, and which figures changed; the newest first."
    yield Page("news.html", "news.html", "What is new", description, {"entries": entries, "revisions": revisions})
    yield from changes.pages(site, revisions)
    updated = listed[0].time if listed else "1970-01-01T00:00:00Z"
    yield Page("feed.xml", "feed.xml", "Espalier", description, {"items": listed[:IN_FEED], "updated": updated})
