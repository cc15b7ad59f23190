"""A page per method: what it is, its code, what it achieved everywhere, what it cost, and where each figure is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from leaderboard import statistics
from leaderboard.charts import tradeoff
from leaderboard.code import highlight
from leaderboard.drawings import single
from leaderboard.entries import Entry, Phase, Point, Target
from leaderboard.load import LOCAL, Board
from leaderboard.pages import forgetting
from leaderboard.pages.site import PHASES, Chart, Page, Site, Standings, board_of, board_title
from leaderboard.standings import CONTROLS, Standing
from leaderboard.statistics import Interval


@dataclass(frozen=True)
class Line:
    """One target: both phases, differences to the matched controls, and cost."""

    target: Target
    points: dict[Phase, Point]
    differences: dict[str, Interval]
    pruning_seconds: Interval
    pruning_memory_mb: Interval
    retraining_seconds: Interval


@dataclass(frozen=True)
class Layer:
    """One prunable layer and its mean density (0 to 1, nan where not measured) at every target."""

    position: int
    shape: str
    total: int
    densities: list[float]


@dataclass(frozen=True)
class Result:
    """All of a method on one board."""

    board: Board
    title: str
    benchmark: str
    local: bool
    unsandboxed: bool
    phases: list[Phase]
    standings: Standings
    lines: list[Line]
    charts: list[Chart]
    layers: list[Layer]
    targets: list[Target]
    records: list[Any]


@dataclass(frozen=True)
class Failure:
    """Cells that failed in the same way."""

    status: str
    reason: str
    log: str
    cells: list[str]


def pages(site: Site) -> Iterator[Page]:
    """One page for every method that was submitted or measured."""
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
            "look": site.looks[slug],
        }
        charts = [chart for one in results for chart in one.charts]
        title = site.titles[slug]
        yield Page(f"methods/{slug}.html", "method.html", title, f"{title}: what it is, its code, and what it achieved.",
                   context, charts, "methods")  # fmt: skip


def result(site: Site, standings: Standings, slug: str) -> Result | None:
    """None where the method has no record on the board."""
    board = board_of(standings)
    rows = board.by_submission.get(slug)
    if rows is None:
        return None
    own = [row for row in rows if row.variant == "method"]
    targets = next(iter(standings.values())).frame.targets
    benchmark = site.grid.benchmarks[board.key.benchmark].title
    return Result(
        board=board,
        title=board_title(board),
        benchmark=benchmark,
        local=board.key.origin == LOCAL,
        unsandboxed=any(row.sandbox == "none" for row in rows),
        phases=list(standings),
        standings=standings,
        lines=[_line(standings, slug, own, position) for position in range(len(targets))],
        charts=[_chart(site, one, slug, benchmark) for one in standings.values()],
        layers=_layers(own, targets),
        targets=targets,
        records=rows,
    )


def failures(results: list[Result]) -> list[Failure]:
    """Every failed cell, those with the same status, reason and log together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in results:
        for record in one.records:
            if record.status != "ok":
                reason = record.reason or ""
                words = record.cell if record.variant == "method" else f"{record.cell} ({record.variant})"
                groups.setdefault((record.status, reason, record.log), []).append(words)
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
        pruning_memory_mb=_over(at, "pruning_memory_mb"),
        retraining_seconds=_over(at, "retraining_seconds"),
    )


def _over(rows: list[Any], column: str) -> Interval:
    return statistics.interval([value for row in rows if (value := getattr(row, column)) is not None])


def _differences(standing: Standing, slug: str, position: int) -> dict[str, Interval]:
    """Method minus matched control, paired by seed."""
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


def _chart(site: Site, standing: Standing, slug: str, benchmark: str) -> Chart:
    phase = PHASES[standing.frame.phase]
    spec = tradeoff(single(standing, slug, "compression", site.looks[slug], site.titles[slug]))
    label = f"Top-1 against compression on {benchmark}, {phase.lower()}: {site.titles[slug]} and its matched controls."
    return Chart(f"{standing.board.key.benchmark}-{standing.id}", phase, label, spec)


def _layers(own: list[Any], targets: list[Target]) -> list[Layer]:
    counted: dict[str, list[list[int]]] = {}
    for row in own:
        if row.layer_kept is not None:
            counted.setdefault(row.target, []).append(row.layer_kept)
    first = next((row for row in own if row.layer_kept is not None), None)
    if first is None:
        return []
    totals = np.array(first.layer_total, dtype=float)
    unknown = np.full(len(totals), np.nan)
    means = {label: np.mean(kept, axis=0) / totals for label, kept in counted.items()}
    return [
        Layer(i, shape, first.layer_total[i], [float(means.get(target.label, unknown)[i]) for target in targets])
        for i, shape in enumerate(first.layer_shape)
    ]
