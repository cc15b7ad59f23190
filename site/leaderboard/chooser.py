"""What to choose from, board by board: of methods that meet a reader's conditions, the best and those tied with it.

A board is never mixed with another, and nothing is filled in: a method without its figure, or without a known cost where
cost is limited, is not chosen. Which method is tied with which is what the tests of the board say (``Standing.ahead``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from leaderboard import facets
from leaderboard.comparison import identifier
from leaderboard.costs import by_target, retraining_seconds, seconds
from leaderboard.entries import Figure, Point
from leaderboard.formats import asked, known
from leaderboard.load import Board
from leaderboard.pages.site import Site, Standings, board_name, board_of, first_of
from leaderboard.standings import Range, Standing
from leaderboard.statistics import Interval

FILE = "data/chooser.js"
CALL = "espalierChooser"
"""Function of the page's script to which the file gives the boards: a page opened from a file may not fetch JSON."""


@dataclass(frozen=True)
class Choice:
    """One method at one target: its accuracy, why there is none of all seeds, its range of ranks, who is worse, and what one
    network takes there."""

    interval: Interval
    gap: str | None
    rank: Range | None
    ahead: list[str]
    seconds: float


@dataclass(frozen=True)
class Candidate:
    """One method on one board.

    ``seconds``: for one network, pruning at the costliest target, mean over seeds, and retraining; nan where not known.
    ``needs``: None where the method has no metadata. ``ahead``: slugs that are significantly worse. ``at``: the same at each
    target of its menu.
    """

    slug: str
    figure: Figure
    rank: Range | None
    seconds: float
    needs: list[str] | None
    ahead: list[str]
    at: list[Choice]


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
    targets: list[str]
    candidates: list[Candidate]

    @property
    def best(self) -> list[Candidate]:
        """Of all, without a condition: the best and those tied with it."""
        ranked = [one for one in self.candidates if one.rank is not None]
        return [one for one in ranked if one.slug not in ranked[0].ahead]


@lru_cache(maxsize=1)
def menus(site: Site) -> list[Menu]:
    """Every board with a method that has its figure, in the order of the site; made once for all pages."""
    found = [_menu(site, standings) for standings in site.standings]
    return [menu for menu in found if menu.best]


def file(site: Site) -> tuple[str, str]:
    """Name and text of the data for the page's script."""
    boards = [_data(site, menu) for menu in menus(site)]
    return FILE, f"{CALL}({json.dumps(boards, separators=(',', ':'), allow_nan=False)});\n"


def _menu(site: Site, standings: Standings) -> Menu:
    board, standing = board_of(standings), first_of(standings)
    key, axis = board.key, standing.frame.primary
    return Menu(
        board=board,
        id=identifier(standing),
        title=board_name(site, board),
        href=site.page_of(key),
        figure="Mean drop" if axis is None else f"NAUC, {axis}",
        digits=2 if axis is None else 4,
        unit="core" if key.device_class == "cpu" else "GPU",
        targets=[target.label for target in standing.frame.feasible],
        candidates=list(_candidates(site, standing)),
    )


def _candidates(site: Site, standing: Standing) -> Iterator[Candidate]:
    board, figures, ahead, ranks = standing.board, standing.figures, standing.ahead(), standing.ranking()
    at = {i: standing.ahead_at(i) for i, target in enumerate(standing.frame.targets) if target.feasible}
    retraining = retraining_seconds(board)
    for entry in standing.methods:
        slug, spent = entry.slug, by_target(board, entry.slug, "pruning_seconds")
        submission = site.submissions.get(slug)
        needs = facets.needs(submission.metadata.needs) if submission else None
        choices = []
        for i, worse in at.items():
            point, rank = entry.points[i], standing.target_ranks[i].get(slug)
            takes = spent.get(point.target.label, math.nan) + retraining
            choices.append(Choice(point.accuracy, _gap(point), rank, worse.get(slug, []), takes))
        yield Candidate(slug, figures[slug], ranks.get(slug), seconds(board, slug), needs, ahead.get(slug, []), choices)


def _gap(point: Point) -> str | None:
    if point.failed:
        return f"{len(point.failed)} failed"
    return f"{point.missing} missing" if point.missing else None


def _data(site: Site, menu: Menu) -> dict[str, object]:
    key = menu.board.key
    place = {one.slug: position for position, one in enumerate(menu.candidates)}
    return {
        "id": menu.id, "title": menu.title, "href": menu.href, "anchor": key.anchor, "division": key.division,
        "device": key.device_class, "unit": menu.unit, "figure": menu.figure, "digits": menu.digits,
        "targets": [{"label": label, "words": asked(label)} for label in menu.targets],
        "methods": [
            {"slug": one.slug, "title": site.titles[one.slug], "needs": one.needs,
             **_judged(one.figure.interval, one, place), "gap": one.figure.gap,
             "at": [{**_judged(choice.interval, choice, place), "gap": choice.gap} for choice in one.at]}
            for one in menu.candidates
        ],
    }  # fmt: skip


def _judged(interval: Interval, one: Candidate | Choice, place: Mapping[str, int]) -> dict[str, object]:
    return {
        "mean": known(interval.mean), "half": known(interval.half), "rank": one.rank, "seconds": known(one.seconds),
        "ahead": [place[slug] for slug in one.ahead],
    }  # fmt: skip
