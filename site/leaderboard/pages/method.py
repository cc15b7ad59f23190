"""A page per method: what it is, its code, what it achieved everywhere, what it cost, and where each figure is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from leaderboard import statistics
from leaderboard.charts import tradeoff
from leaderboard.code import highlight
from leaderboard.drawings import single
from leaderboard.entries import Entry, Phase, Point, Target
from leaderboard.load import LOCAL, Board
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
    failures: list[Any]


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
            "look": site.looks[slug],
        }
        charts = [chart for one in results for chart in one.charts]
        title = site.titles[slug]
        yield Page(f"methods/{slug}.html", "method.html", title, f"{title}: what it is, its code, and what it achieved.",
                   context, charts, "methods")  # fmt: skip


def result(site: Site, standings: Standings, slug: str) -> Result | None:
    """None where the method has no record on the board."""
    board = board_of(standings)
    rows = board.rows[board.rows["submission"] == slug]
    if rows.empty:
        return None
    own = rows[rows["variant"] == "method"]
    standing = next(iter(standings.values()))
    benchmark = site.grid.benchmarks[board.key.benchmark].title
    return Result(
        board=board,
        title=board_title(board),
        benchmark=benchmark,
        local=board.key.origin == LOCAL,
        unsandboxed=bool((rows["sandbox"] == "none").any()),
        phases=list(standings),
        standings=standings,
        lines=[_line(standings, slug, own, position) for position in range(len(standing.frame.targets))],
        charts=[_chart(site, one, slug, benchmark) for one in standings.values()],
        layers=_layers(own, standing.frame.targets),
        targets=standing.frame.targets,
        records=list(rows.itertuples(index=False)),
        failures=list(rows[rows["status"] != "ok"].itertuples(index=False)),
    )


def _line(standings: Standings, slug: str, own: pd.DataFrame, position: int) -> Line:
    entries = {phase: entry for phase, one in standings.items() if (entry := one.entry(slug)) is not None}
    standing = next(iter(standings.values()))
    target = standing.frame.targets[position]
    at = own[own["target"] == target.label]
    return Line(
        target=target,
        points={phase: entry.points[position] for phase, entry in entries.items()},
        differences=_differences(standing, slug, position),
        pruning_seconds=statistics.interval(at["pruning_seconds"]),
        pruning_memory_mb=statistics.interval(at["pruning_memory_mb"]),
        retraining_seconds=statistics.interval(at["retraining_seconds"]),
    )


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


def _layers(own: pd.DataFrame, targets: list[Target]) -> list[Layer]:
    counted = own[own["layer_kept"].notna()]
    if counted.empty:
        return []
    first = counted.iloc[0]
    totals = np.array(first["layer_total"], dtype=float)
    means = {label: np.mean(list(group["layer_kept"]), axis=0) / totals for label, group in counted.groupby("target")}
    unknown = np.full(len(totals), np.nan)
    return [
        Layer(i, shape, int(totals[i]), [float(means.get(target.label, unknown)[i]) for target in targets])
        for i, shape in enumerate(first["layer_shape"])
    ]
