"""Two to six methods side by side: chosen in the browser; without a script, all pairs on the most telling board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leaderboard.comparison import Column, difference, file_name, identifier, view
from leaderboard.evidence import most_telling
from leaderboard.load import LOCAL
from leaderboard.pages.site import Page, Site, Standings, board_of, board_title, first_of
from leaderboard.standings import Standing
from leaderboard.statistics import Interval

FEWEST, MOST = 2, 6
"""Methods that can be chosen."""
ROWS = 12
"""Methods in the table that needs no script, the first ones of their board."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of the first methods of a board by one figure: row minus column."""

    standing: Standing
    title: str
    column: Column
    slugs: list[str]
    left_out: int
    rows: list[list[Interval | None]]
    ahead: dict[str, list[str]]
    """Slug -> those significantly worse among all methods of the board, as its ranks say."""


def pages(site: Site) -> Iterator[Page]:
    """The compare page."""
    context: dict[str, Any] = {
        "boards": [_entry(site, standings) for standings in site.standings if board_of(standings).by_submission],
        "opened": next((identifier(first_of(standings)) for standings in most_telling(site)), ""),
        "fewest": FEWEST,
        "most": MOST,
        "pairs": all_pairs(site),
    }
    description = "Two to six pruning methods side by side: differences paired by base model and seed, with their intervals."
    yield Page("compare.html", "compare.html", "Compare", description, context, [], "compare")


def _entry(site: Site, standings: Standings) -> dict[str, Any]:
    """A board in the list to choose from."""
    board, first = board_of(standings), first_of(standings)
    origin = ", on this machine" if board.key.origin == LOCAL else ""
    return {
        "id": identifier(first),
        "title": f"{site.grid.benchmarks[board.key.benchmark].title}: {board_title(site, board).lower()}{origin}",
        "file": file_name(site, first),
        "methods": [entry.slug for entry in first.methods],
    }


def all_pairs(site: Site) -> Pairs | None:
    """On the board that the first page shows; None where that has no two methods with all figures."""
    standing = next(map(first_of, most_telling(site)), None)
    if standing is None or len(standing.ranking()) < FEWEST:
        return None
    column = view(standing, standing.frame.primary).columns[-1]
    slugs = [entry.slug for entry in standing.methods if entry.slug in column.values]
    shown = slugs[:ROWS]
    rows = [[difference(column, one, other) if one != other else None for other in shown] for one in shown]
    board = standing.board
    title = f"{site.grid.benchmarks[board.key.benchmark].title}, {board_title(site, board).lower()}"
    return Pairs(standing, title, column, shown, len(slugs) - len(shown), rows, standing.ahead())
