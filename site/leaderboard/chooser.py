"""What to choose from, board by board: of methods that meet a reader's conditions, the best and those tied with it.

A board is never mixed with another, and nothing is filled in: a method without its figure, or without a known cost where
cost is limited, is not chosen. Which method is tied with which is what the tests of the board say (``Standing.ahead``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from leaderboard import facets
from leaderboard.comparison import identifier
from leaderboard.entries import Figure
from leaderboard.load import LOCAL, Board
from leaderboard.pages.site import Site, Standings, board_of, board_title
from leaderboard.standings import Range, Standing

FILE = "data/chooser.js"
CALL = "espalierChooser"
"""Function of the page's script to which the file gives the boards: a page opened from a file may not fetch JSON."""


@dataclass(frozen=True)
class Candidate:
    """One method on one board.

    ``seconds``: for one network, pruning at the costliest target, mean over seeds, and retraining; nan where not known.
    ``needs``: None where the method has no metadata. ``ahead``: slugs that are significantly worse.
    """

    slug: str
    figure: Figure
    rank: Range | None
    seconds: float
    needs: list[str] | None
    ahead: list[str]


@dataclass(frozen=True)
class Menu:
    """One board, and what it offers, in the order of its table."""

    board: Board
    id: str
    title: str
    href: str
    figure: str
    digits: int
    unit: str
    candidates: list[Candidate]

    @property
    def best(self) -> list[Candidate]:
        """Of all, without a condition: the best and those tied with it."""
        ranked = [one for one in self.candidates if one.rank is not None]
        return [one for one in ranked if one.slug not in ranked[0].ahead]


def menus(site: Site) -> list[Menu]:
    """Every board with a method that has its figure, in the order of the site."""
    found = [_menu(site, standings) for standings in site.standings]
    return [menu for menu in found if menu.best]


def file(site: Site) -> tuple[str, str]:
    """Name and text of the data for the page's script."""
    boards = [_data(site, menu) for menu in menus(site)]
    return FILE, f"{CALL}({json.dumps(boards, separators=(',', ':'), allow_nan=False)});\n"


def seconds(board: Board, slug: str) -> float:
    """What one network takes by a method, at the costliest of its targets; nan where some cost is not known.

    Retraining is the same for all, and what one was slower than another is the machine's doing: the board's median counts.
    """
    return pruning_seconds(board, slug) + board.retraining_seconds


def pruning_seconds(board: Board, slug: str) -> float:
    """The method's own part of it."""
    by_target: dict[str, list[float]] = {}
    for row in board.by_submission.get(slug, []):
        if row.variant == "method" and row.status == "ok":
            by_target.setdefault(row.target, []).append(math.nan if row.pruning_seconds is None else row.pruning_seconds)
    return float(np.max([np.mean(costs) for costs in by_target.values()])) if by_target else math.nan


def _menu(site: Site, standings: Standings) -> Menu:
    board, standing = board_of(standings), next(iter(standings.values()))
    key, axis = board.key, standing.frame.primary
    local = ", on this machine" if key.origin == LOCAL else ""
    return Menu(
        board=board,
        id=identifier(standing),
        title=f"{site.grid.benchmarks[key.benchmark].title}: {board_title(site, board).lower()}{local}",
        href=f"benchmarks/{key.benchmark}.html",
        figure="Mean drop" if axis is None else f"NAUC, {axis}",
        digits=2 if axis is None else 4,
        unit="core" if key.device_class == "cpu" else "GPU",
        candidates=list(_candidates(site, standing)),
    )


def _candidates(site: Site, standing: Standing) -> Iterator[Candidate]:
    ahead, ranks = standing.ahead(), standing.ranking()
    for slug, figure in standing.figures.items():
        submission = site.submissions.get(slug)
        needs = facets.needs(submission.metadata.needs) if submission else None
        yield Candidate(slug, figure, ranks.get(slug), seconds(standing.board, slug), needs, ahead.get(slug, []))


def _data(site: Site, menu: Menu) -> dict[str, object]:
    key = menu.board.key
    place = {one.slug: position for position, one in enumerate(menu.candidates)}
    return {
        "id": menu.id, "title": menu.title, "href": menu.href, "anchor": key.anchor, "division": key.division,
        "device": key.device_class, "unit": menu.unit, "figure": menu.figure, "digits": menu.digits,
        "methods": [
            {"slug": one.slug, "title": site.titles[one.slug], "mean": _known(one.figure.interval.mean),
             "half": _known(one.figure.interval.half), "gap": one.figure.gap, "rank": one.rank,
             "seconds": _known(one.seconds), "needs": one.needs, "ahead": [place[slug] for slug in one.ahead]}
            for one in menu.candidates
        ],
    }  # fmt: skip


def _known(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
