"""A page per method: what it is, its code, what it achieved everywhere, what it cost, and where each figure is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from leaderboard import costs, words
from leaderboard.code import highlight
from leaderboard.entries import Axis, Phase
from leaderboard.harm import Case, at_first, cases
from leaderboard.load import LOCAL, PUBLISHED, Board
from leaderboard.pages import beside, result
from leaderboard.pages.changes import Revision, revisions
from leaderboard.pages.progress import Tally, states
from leaderboard.pages.site import Content, Page, Site, Standings, board_of, board_title, first_of
from leaderboard.rows import Row
from leaderboard.words import TrackWords

PAIRS, POINTS, SEEDS = 3, 5, 3
"""Blalock et al. (2020), section 6: pairs of data and network, one of them large; points on each; seeds of each."""


@dataclass(frozen=True)
class Head:
    """A method on one board beside the others; its part has everything else."""

    board: Board
    title: str
    track: TrackWords
    benchmark: str
    local: bool
    unsandboxed: bool
    standings: Standings
    seconds: tuple[float, float]
    """What one network takes: pruning at the costliest target, and retraining; nan where not known."""
    records: list[Row]
    harm: list[Case]

    @property
    def phases(self) -> list[Phase]:
        return list(self.standings)

    @property
    def axis(self) -> Axis | None:
        """That of its targets."""
        return first_of(self.standings).frame.primary


@dataclass(frozen=True)
class Cell:
    """One cell by its identifier, what is said of it, and where its record is."""

    id: str
    name: str
    href: str


@dataclass(frozen=True)
class Failure:
    """Cells that failed in the same way."""

    status: str
    reason: str
    log: str
    cells: list[Cell]


@dataclass(frozen=True)
class Coverage:
    """How much of what a method is for has been measured."""

    tally: Tally
    benchmarks: int
    measured_on: int
    pairs: int
    """Of data and network, with as many points and seeds as Blalock et al. (2020) ask for."""
    large: int
    """Of these, in the scale tier."""

    @property
    def minimum(self) -> str:
        """How it stands with what they ask for, in words."""
        if self.enough:
            return "met"
        pairs = (
            f"{self.pairs} pair{'s' if self.pairs != 1 else ''} of data and network with {POINTS} points and {SEEDS} seeds"
        )
        large = "" if self.large or not self.pairs else "; none of them is large"
        return f"{pairs}, where {PAIRS} are asked for{large}"

    @property
    def enough(self) -> bool:
        return self.pairs >= PAIRS and self.large > 0


def pages(site: Site) -> Iterator[Page]:
    """One page for every method that was submitted or measured."""
    history: dict[str | None, list[Revision]] = {}
    for revision in revisions(site):
        history.setdefault(revision.slug, []).append(revision)
    for slug in site.slugs:
        boards = [one for one in site.standings if slug in board_of(one).by_submission]
        title, submission = site.titles[slug], site.submissions.get(slug)
        about = submission.metadata.summary if submission else f"{title}: what it achieved."
        yield Page(
            f"methods/{slug}.html", "method.html", title, about,
            section="methods",
            parts=[result.part(site, standings, slug) for standings in boards],
            fill=partial(_content, site, slug, boards, history.get(slug, [])),
        )  # fmt: skip


def _content(site: Site, slug: str, boards: list[Standings], history: list[Revision]) -> Content:
    submission = site.submissions.get(slug)
    heads = [head(site, standings, slug) for standings in boards]
    reported = beside.matches(site, slug)
    return Content({
        "slug": slug,
        "metadata": submission.metadata if submission else None,
        "digest": submission.digest if submission else None,
        "code": highlight(submission.code) if submission else Markup(""),
        "results": heads,
        "failures": failures(heads),
        "coverage": coverage(site, slug),
        "history": history,
        "look": site.looks[slug],
        "reported": reported,
        "runs": beside.runs(reported),
    })  # fmt: skip


def coverage(site: Site, slug: str) -> Coverage:
    """Over all benchmarks on which it belongs and some of its cells do not wait."""
    found = (one.tallies.get(slug, Tally()) for one in states(site).values())
    tallies = [tally for tally in found if tally.cells > tally.waiting]
    published = (one for one in site.standings if board_of(one).key.origin == PUBLISHED)
    full = {board_of(one).key.benchmark for one in published if _has_enough(one, slug)}
    large = sum(site.grid.benchmarks[name].tier == "scale" for name in full)
    return Coverage(sum(tallies, Tally()), len(tallies), sum(tally.measured > 0 for tally in tallies), len(full), large)


def _has_enough(standings: Standings, slug: str) -> bool:
    entry = first_of(standings).entry(slug)
    return entry is not None and sum(point.accuracy.n >= SEEDS for point in entry.points) >= POINTS


def head(site: Site, standings: Standings, slug: str) -> Head:
    """Of a method that has records on the board."""
    board = board_of(standings)
    rows = board.by_submission[slug]
    return Head(
        board=board,
        title=board_title(site, board),
        track=words.TRACKS[board.key.track],
        benchmark=site.grid.benchmarks[board.key.benchmark].title,
        local=board.key.origin == LOCAL,
        unsandboxed=any(row.sandbox == "none" for row in rows),
        standings=standings,
        seconds=(costs.pruning_seconds(board, slug), costs.retraining_seconds(board)),
        records=rows,
        harm=at_first(cases(site, board, slug)),
    )


def failures(heads: list[Head]) -> list[Failure]:
    """Every failed cell, those with the same status, reason and log together."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for one in heads:
        for record in one.records:
            if record.status != "ok":
                name = record.cell if record.variant == "method" else f"{record.cell} ({record.variant})"
                cell = Cell(record.cell, name, one.board.key.record(record))
                groups.setdefault((record.status, record.reason or "", record.log), []).append(cell)
    return [Failure(*group, cells) for group, cells in groups.items()]
