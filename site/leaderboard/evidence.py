"""What a finding is, on which boards findings rest, and how a line of evidence is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leaderboard.formats import MINUS
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import Site, Standings, board_name, board_of, first_of
from leaderboard.standings import Standing

WORDS = {"Score": "", "Which": "text", "Loses most": "text"}
"""Columns of evidence that hold words, and no figures, with the class of their cells."""


@dataclass(frozen=True)
class Line:
    """One line of evidence: where it holds, and its figures in the order of the columns.

    ``shares``: better, tied and worse, where the line is a tally.
    """

    label: str
    href: str
    figures: tuple[str, ...]
    shares: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """A question, one sentence that answers it and what more can be said, how it was found, and the table behind it."""

    id: str
    title: str
    sentence: str
    how: str
    columns: tuple[str, ...]
    lines: list[Line]
    more: str = ""

    def aligned(self, column: str) -> str:
        """The class of a column's cells."""
        return WORDS.get(column, "figure")


def telling(site: Site) -> list[Standings]:
    """Boards that sentences rest on: published ones (this machine's where there are none), with the usual recipe, and not of
    the first tier, which only shows that methods work, where there are others."""
    usual = [one for one in site.standings if _usual(site, one)]
    published = [one for one in usual if board_of(one).key.origin == PUBLISHED] or usual
    lowest = next(iter(site.grid.tiers), "")
    later = [one for one in published if site.grid.benchmarks[board_of(one).key.benchmark].tier != lowest]
    return later or published


def by_another_recipe(site: Site, boards: list[Standings]) -> list[tuple[Standings, Standings]]:
    """Each of ``boards`` with one that differs from it in the recipe of retraining alone."""
    return [
        (usual, other) for usual in boards for other in site.standings
        if not _usual(site, other) and board_of(other).key._replace(recipe=board_of(usual).key.recipe) == board_of(usual).key
    ]  # fmt: skip


def most_telling(site: Site) -> list[Standings]:
    """The most telling board of each benchmark, in that order: published before local (and never both), a ranked tier
    before the others and a later one before an earlier, a curve before patterns, the usual recipe before another, trained
    networks before those as pruned, single weights before channels; then the one with the most methods that have every
    figure."""
    tiers, divisions = list(site.grid.tiers), [str(division) for division in site.grid.targets]

    def weight(standings: Standings) -> tuple[Any, ...]:
        key, first = board_of(standings).key, first_of(standings)
        tier = site.grid.benchmarks[key.benchmark].tier
        usual = site.grid.recipe_name(key.benchmark, board_of(standings).track) == key.recipe
        complete, records = len(first.ranking()), len(board_of(standings).records)
        return (
            key.origin == PUBLISHED, complete > 1, site.grid.tiers[tier].ranked, tiers.index(tier),
            first.frame.primary is not None, usual, first.frame.phase == "after",
            -divisions.index(key.division), complete, records,
        )  # fmt: skip

    found: dict[str, Standings] = {}
    for standings in sorted(site.standings, key=weight, reverse=True):
        found.setdefault(board_of(standings).key.benchmark, standings)
    boards = list(found.values())
    return [one for one in boards if board_of(one).key.origin == board_of(boards[0]).key.origin]


def _usual(site: Site, standings: Standings) -> bool:
    board = board_of(standings)
    return site.grid.recipe_name(board.key.benchmark, board.track) == board.key.recipe


def line_of(site: Site, standing: Standing, figures: tuple[str, ...], shares: tuple[int, int, int] | None = None) -> Line:
    """Evidence that holds on one board."""
    board = standing.board
    return Line(board_name(site, board), site.place_of(board.key), figures, shares)


def plain(value: float) -> str:
    """Two digits, and no negative zero."""
    shown = f"{value:.2f}"
    return ("0.00" if float(shown) == 0 else shown).replace("-", MINUS)
