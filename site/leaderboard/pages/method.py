"""A page per method: what it is, its code, what it achieved everywhere, what it cost, and where each figure is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leaderboard import costs, facts, reported, statistics, words
from leaderboard.charts import tradeoff
from leaderboard.code import highlight
from leaderboard.drawings import single
from leaderboard.entries import Axis, Entry, Phase, Point, Target
from leaderboard.facts import Fact
from leaderboard.load import LOCAL, Board
from leaderboard.pages import beside, forgetting
from leaderboard.pages.changes import Revision, revisions
from leaderboard.pages.details import Group, Latency, Layer, groups, latency, layers
from leaderboard.pages.progress import Tally, states
from leaderboard.pages.site import Chart, Page, Site, Standings, board_of, board_title
from leaderboard.standings import CONTROLS, Standing
from leaderboard.statistics import Interval
from leaderboard.words import TrackWords

PAIRS, POINTS, SEEDS = 3, 5, 3
"""Blalock et al. (2020), section 6: pairs of data and network, one of them large; points on each; seeds of each."""


@dataclass(frozen=True)
class Line:
    """One target: both phases, differences to the controls, and cost."""

    target: Target
    points: dict[Phase, Point]
    differences: dict[str, Interval]
    pruning_seconds: Interval
    pruning_epochs: Interval
    pruning_memory_mb: Interval
    retraining_seconds: Interval
    trainability: Interval


@dataclass(frozen=True)
class Result:
    """All of a method on one board."""

    board: Board
    title: str
    track: TrackWords
    names: dict[str, str]
    command: str
    benchmark: str
    trains: bool
    local: bool
    unsandboxed: bool
    signer: str | None
    phases: list[Phase]
    standings: Standings
    lines: list[Line]
    charts: list[Chart]
    layers: list[Layer]
    groups: list[Group]
    latency: Latency | None
    targets: list[Target]
    seconds: tuple[float, float]
    """What one network takes: pruning at the costliest target, and retraining; nan where not known."""
    records: list[Any]
    shared: list[Fact]

    @property
    def axes(self) -> list[tuple[str, str]]:
        """A switch of its charts, the targets' own axis first; empty where there is one."""
        axes = next(iter(self.standings.values())).axes
        return [(axis, axis) for axis in axes if axis] if len(axes) > 1 else []

    @property
    def told(self) -> bool:
        """Whether reported figures stand in its charts."""
        return any(row["m"].startswith(reported.NAME) for one in self.charts for row in one.spec["datasets"]["means"])

    @property
    def measured(self) -> set[str]:
        """Targets that have records, failed ones too."""
        return {row.target for row in self.records}


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
        pairs = f"{self.pairs} of {PAIRS} pairs of data and network with {POINTS} points and {SEEDS} seeds"
        return pairs if self.large or not self.pairs else f"{pairs}, none of them large"

    @property
    def enough(self) -> bool:
        return self.pairs >= PAIRS and self.large > 0


def pages(site: Site) -> Iterator[Page]:
    """One page for every method that was submitted or measured."""
    history: dict[str | None, list[Revision]] = {}
    for revision in revisions(site):
        history.setdefault(revision.slug, []).append(revision)
    for slug in site.slugs:
        submission = site.submissions.get(slug)
        results = [found for standings in site.standings if (found := result(site, standings, slug)) is not None]
        context = {
            "slug": slug,
            "metadata": submission.metadata if submission else None,
            "digest": submission.digest if submission else None,
            "code": highlight(submission.code) if submission else Markup(""),
            "results": results,
            "failures": failures(results),
            "forgetting": forgetting.tables(site, slug),
            "coverage": coverage(site, slug),
            "history": history.get(slug, []),
            "look": site.looks[slug],
            "reported": beside.matches(site, slug),
        }
        charts = [chart for one in results for chart in one.charts]
        title = site.titles[slug]
        yield Page(f"methods/{slug}.html", "method.html", title, f"{title}: what it is, its code, and what it achieved.",
                   context, charts, "methods")  # fmt: skip


def coverage(site: Site, slug: str) -> Coverage:
    """Over all benchmarks on which it belongs."""
    tallies = [tally for one in states(site).values() if (tally := one.tallies.get(slug)) is not None and tally.cells]
    full = {board_of(one).key.benchmark for one in site.standings if _has_enough(one, slug)}
    large = sum(site.grid.benchmarks[name].tier == "scale" for name in full)
    return Coverage(sum(tallies, Tally()), len(tallies), sum(tally.measured > 0 for tally in tallies), len(full), large)


def _has_enough(standings: Standings, slug: str) -> bool:
    entry = next(iter(standings.values())).entry(slug)
    return entry is not None and sum(point.accuracy.n >= SEEDS for point in entry.points) >= POINTS


def result(site: Site, standings: Standings, slug: str) -> Result | None:
    """None where the method has no record on the board."""
    board = board_of(standings)
    rows = board.by_submission.get(slug)
    if rows is None:
        return None
    key = board.key
    own = [row for row in rows if row.variant == "method"]
    targets = next(iter(standings.values())).frame.targets
    benchmark = site.grid.benchmarks[key.benchmark].title
    usual = site.grid.recipe_name(key.benchmark, board.track) == key.recipe
    return Result(
        board=board,
        title=board_title(site, board),
        track=words.TRACKS[key.track],
        names=words.CONTROLS[key.division],
        command="" if usual else f" --recipe {key.recipe}",
        benchmark=benchmark,
        trains=words.trains(key.track),
        local=key.origin == LOCAL,
        unsandboxed=any(row.sandbox == "none" for row in rows),
        signer=None if key.origin == LOCAL else site.results.signers.get((key.benchmark, slug)),
        phases=list(standings),
        standings=standings,
        lines=[_line(standings, slug, own, position) for position in range(len(targets))],
        charts=[_chart(site, one, slug, axis) for one in standings.values() for axis in one.axes],
        layers=layers(own, targets),
        groups=groups(own, targets),
        latency=latency(own, board.dense_rows, targets),
        targets=targets,
        seconds=(costs.pruning_seconds(board, slug), costs.retraining_seconds(board)),
        records=rows,
        shared=facts.shared(rows),
    )


def failures(results: list[Result]) -> list[Failure]:
    """Every failed cell, those with the same status, reason and log together."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for one in results:
        for record in one.records:
            if record.status != "ok":
                name = record.cell if record.variant == "method" else f"{record.cell} ({record.variant})"
                cell = Cell(record.cell, name, one.board.key.record(record))
                groups.setdefault((record.status, record.reason or "", record.log), []).append(cell)
    return [Failure(*group, cells) for group, cells in groups.items()]


def _line(standings: Standings, slug: str, own: list[Any], position: int) -> Line:
    entries = {phase: entry for phase, one in standings.items() if (entry := one.entry(slug)) is not None}
    target = next(iter(standings.values())).frame.targets[position]
    at = [row for row in own if row.target == target.label]
    return Line(
        target=target,
        points={phase: entry.points[position] for phase, entry in entries.items()},
        differences=_differences(next(iter(standings.values())), slug, position),
        pruning_seconds=_over(at, "pruning_seconds"),
        pruning_epochs=_over(at, "pruning_epochs"),
        pruning_memory_mb=_over(at, "pruning_memory_mb"),
        retraining_seconds=_over(at, "retraining_seconds"),
        trainability=_over(at, "trainability"),
    )


def _over(rows: list[Any], column: str) -> Interval:
    return statistics.interval([value for row in rows if (value := getattr(row, column)) is not None])


def _differences(standing: Standing, slug: str, position: int) -> dict[str, Interval]:
    """Method minus control, paired by seed."""
    entry = standing.entry(slug)
    if entry is None:
        return {}
    mine = _by_seed(entry, position, standing)
    controls = {control.variant: control for control in standing.controls.get(slug, [])}
    return {
        name: statistics.paired(mine, _by_seed(controls[name], position, standing)) for name in CONTROLS if name in controls
    }


def _by_seed(entry: Entry, position: int, standing: Standing) -> list[float]:
    found = {trial.seed: trial.accuracy for trial in entry.points[position].trials if trial.scored}
    return [found.get(seed, float("nan")) for seed in standing.frame.seeds]


def _chart(site: Site, standing: Standing, slug: str, axis: Axis | None) -> Chart:
    key = standing.board.key
    phase = words.TRACKS[key.track].phases[standing.frame.phase]
    drawing = single(standing, slug, axis, site.looks[slug], site.titles[slug])
    if axis is not None and standing.frame.phase == "after":
        drawing = reported.beside(drawing, beside.claims(site, slug, key.benchmark), axis)
    spec = tradeoff(drawing)
    caption = words.caption(axis, key.division)
    label = f"{caption} on {site.grid.benchmarks[key.benchmark].title}, {phase}: {site.titles[slug]} and its controls."
    name = f"{key.benchmark}-{standing.id}-{axis or 'pattern'}"
    return Chart(name, f"{caption}, {phase}", label, spec, axis if len(standing.axes) > 1 else None,
                 drawn=axis == standing.axes[0])  # fmt: skip
