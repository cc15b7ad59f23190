"""A page per benchmark: two charts and a table for every board, before and after retraining."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leaderboard.charts import tradeoff
from leaderboard.drawings import compare
from leaderboard.entries import Axis, Phase
from leaderboard.load import LOCAL, Board
from leaderboard.pages.site import AXES, PHASES, Chart, Page, Site, Standings, board_of, board_title
from leaderboard.standings import Standing

AXIS_ORDER: tuple[Axis, ...] = ("compression", "speedup")


@dataclass(frozen=True)
class Panel:
    """A board at one phase."""

    phase: Phase
    title: str
    standing: Standing
    charts: list[Chart]
    fronts: dict[Axis, list[str]]


@dataclass(frozen=True)
class BoardView:
    """A board with its panels, and what failed or is missing."""

    board: Board
    title: str
    local: bool
    unsandboxed: bool
    panels: list[Panel]
    failures: list[Any]
    missing: list[str]


def pages(site: Site) -> Iterator[Page]:
    """One page for every benchmark of the grid, measured or not."""
    for name, benchmark in site.grid.benchmarks.items():
        boards = [view(site, standings) for standings in site.of_benchmark(name)]
        context = {
            "name": name,
            "benchmark": benchmark,
            "tier": site.grid.tiers[benchmark.tier],
            "dataset": site.grid.datasets[benchmark.dataset],
            "architecture": site.grid.architectures[benchmark.architecture],
            "dense_recipe": site.grid.recipes[benchmark.dense_recipe] if benchmark.dense_recipe else None,
            "retraining_recipe": site.grid.recipes[benchmark.retraining_recipe],
            "digest": site.grid.benchmark_digest(name),
            "boards": boards,
        }
        charts = [chart for one in boards for panel in one.panels for chart in panel.charts]
        description = f"Pruning methods on {benchmark.title}: accuracy against compression and speedup, measured."
        yield Page(f"benchmarks/{name}.html", "benchmark.html", benchmark.title, description, context, charts, "home")


def view(site: Site, standings: Standings) -> BoardView:
    board = board_of(standings)
    return BoardView(
        board=board,
        title=board_title(board),
        local=board.key.origin == LOCAL,
        unsandboxed=bool((board.rows["sandbox"] == "none").any()),
        panels=[_panel(site, phase, standing) for phase, standing in standings.items()],
        failures=[row for rows in board.by_submission.values() for row in rows if row.status != "ok"],
        missing=_missing(site, next(iter(standings.values()))),
    )


def _panel(site: Site, phase: Phase, standing: Standing) -> Panel:
    charts = [_chart(site, standing, axis) for axis in AXIS_ORDER]
    return Panel(phase, PHASES[phase], standing, charts, {axis: standing.front(axis) for axis in AXIS_ORDER})


def _chart(site: Site, standing: Standing, axis: Axis) -> Chart:
    count = len(standing.methods)
    spec = tradeoff(compare(standing, axis, site.looks, site.titles))
    label = f"{AXES[axis]}, {PHASES[standing.frame.phase].lower()}: {count} methods. The table below holds the same figures."
    return Chart(f"{standing.id}-{axis}", AXES[axis], label, spec)


def _missing(site: Site, standing: Standing) -> list[str]:
    """In words, per method: which cells were not measured."""
    lines = []
    for entry in standing.methods:
        gaps = [f"{point.target.label} ({point.missing})" for point in entry.points if point.missing]
        if gaps:
            lines.append(f"{site.titles[entry.slug]}: {', '.join(gaps)}")
    return lines
