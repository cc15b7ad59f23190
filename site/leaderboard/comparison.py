"""What methods are compared by: figures per seed in columns, which the compare page subtracts in pairs.

Everything that needs more than a subtraction is computed here: areas, and accuracies at round factors of the axis on which
only realised factors are known, interpolated in log2 within what was measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from leaderboard import costs, facets, statistics, words
from leaderboard.entries import Axis, Entry
from leaderboard.formats import TIMES, asked, known
from leaderboard.load import LOCAL, Board
from leaderboard.pages.site import Site, Standings, board_of, board_title, first_of, specifications
from leaderboard.standings import Standing

MOST_SEEDS = 30
"""Quantiles are written for as many."""
CALL = "espalierBoard"
"""Function of the page's script to which a file gives its board: a page that was opened from a file may not fetch JSON."""

Values = tuple[float, ...]
"""Of one method, in the order of the seeds; nan where there is none."""


@dataclass(frozen=True)
class Column:
    """One figure by which methods are compared; ``values``: slug -> per seed."""

    label: str
    hint: str
    digits: int
    values: dict[str, Values]


@dataclass(frozen=True)
class View:
    """The columns of one board, phase and axis, the sum of them last."""

    axis: Axis | None
    title: str
    columns: list[Column]


def identifier(standing: Standing) -> str:
    """Of a board, as links to the compare page name it."""
    return f"{standing.board.key.benchmark}/{standing.board.key.anchor}"


def view(standing: Standing, axis: Axis | None) -> View:
    """Columns on one axis; None stands for targets side by side."""
    if axis is None or axis == standing.frame.primary:
        columns = [_at_target(standing, position) for position in range(len(standing.frame.targets))]
        title = f"by {axis}, as asked for" if axis else _side_by_side(standing)
    else:
        columns = [_at_factor(standing, axis, factor) for factor in _factors(standing, axis)]
        title = f"by {axis}, as realised"
    columns = [column for column in columns if column.values]
    return View(axis, title, [*columns, _sum(standing, axis)])


def views(standing: Standing) -> list[View]:
    return [view(standing, axis) for axis in standing.axes]


def difference(column: Column, one: str, other: str) -> statistics.Interval:
    """One method minus another, paired by seed; of no seeds where one of them has no value."""
    if one not in column.values or other not in column.values:
        return statistics.interval(())
    return statistics.paired(column.values[one], column.values[other])


def file_name(site: Site, standing: Standing) -> str:
    """Of a board's data, relative to the site's root."""
    position = [id(board_of(standings)) for standings in site.standings].index(id(standing.board))
    return f"data/compare/{position}-{standing.board.key.benchmark}.js"


def files(site: Site) -> Iterator[tuple[str, str]]:
    """Name and text of every board's data: JSON, handed to a function of the page."""
    for standings in site.standings:
        first = first_of(standings)
        text = json.dumps(board_data(site, standings), separators=(",", ":"), allow_nan=False)
        yield file_name(site, first), f"{CALL}({text});\n"


def board_data(site: Site, standings: Standings) -> dict[str, object]:
    """One board for the page's script."""
    board = board_of(standings)
    first = first_of(standings)
    track = words.TRACKS[board.key.track]
    return {
        "id": identifier(first),
        "title": f"{site.grid.benchmarks[board.key.benchmark].title}, {board_title(site, board).lower()}",
        "href": site.place_of(board.key),
        "local": board.key.origin == LOCAL,
        "before": board.remeasuring is not None,
        "seeds": len(first.frame.seeds),
        "charts": specifications(site.page_of(board.key)),
        "unit": "core" if board.key.device_class == "cpu" else "GPU",
        "retraining": known(costs.retraining_seconds(board)),
        "quantiles": [round(statistics.t_quantile(n - 1), 6) for n in range(2, MOST_SEEDS + 1)],
        "methods": [
            {"slug": entry.slug, "title": site.titles[entry.slug], "records": board.key.records(entry.slug),
             **_costs(site, board, entry.slug)}
            for entry in first.methods
        ],
        "phases": [
            {"id": phase, "chart": standing.id, "title": track.phases[phase],
             "axes": [_axis_data(one) for one in views(standing)]}
            for phase, standing in standings.items()
        ],
    }  # fmt: skip


def _costs(site: Site, board: Board, slug: str) -> dict[str, object]:
    """What a method takes at the costliest of its targets, and what it asks for (None where nobody says so)."""
    submission = site.submissions.get(slug)
    return {
        **{name: known(costs.costliest(board, slug, f"pruning_{name}")) for name in ("seconds", "epochs", "memory_mb")},
        "needs": facets.needs(submission.metadata.needs) if submission else None,
    }


def _axis_data(one: View) -> dict[str, object]:
    return {
        "id": one.axis or "pattern",
        "title": one.title,
        "columns": [
            {"label": column.label, "hint": column.hint, "digits": column.digits,
             "values": {slug: [known(value) for value in values] for slug, values in column.values.items()}}
            for column in one.columns
        ],
    }  # fmt: skip


def _at_target(standing: Standing, position: int) -> Column:
    label = asked(standing.frame.targets[position].label)
    found = {}
    for entry in standing.methods:
        values = tuple(standing.accuracies(entry, position))
        if any(map(math.isfinite, values)):
            found[entry.slug] = values
    return Column(label, f"top-1 at {label}, points", 2, found)


def _factors(standing: Standing, axis: Axis) -> list[float]:
    """Powers of two within the range of the axis."""
    span = standing.frame.span(axis)
    return [float(2**power) for power in range(1, int(math.log2(span[1]) + 1e-9) + 1)] if span else []


def _at_factor(standing: Standing, axis: Axis, factor: float) -> Column:
    found = {}
    for entry in standing.methods:
        values = tuple(_interpolated(standing, entry, axis, index, factor) for index in range(len(standing.frame.seeds)))
        if any(map(math.isfinite, values)):
            found[entry.slug] = values
    label = f"{factor:g}{TIMES}"
    return Column(label, f"top-1 at a realised {axis} of {label}, interpolated in log2, points", 2, found)


def _interpolated(standing: Standing, entry: Entry, axis: Axis, index: int, factor: float) -> float:
    """One seed's accuracy, on the line from the dense control through its targets; nan where a target is missing before."""
    seed = standing.frame.seeds[index]
    x, height = [1.0], [standing.frame.reference[index]]
    for point in entry.points:
        trial = next((trial for trial in point.trials if trial.seed == seed and trial.scored), None)
        if trial is not None:
            x.append(getattr(trial, axis))
            height.append(trial.accuracy)
        elif point.target.feasible:
            break
    return statistics.at(x, height, factor)


def _side_by_side(standing: Standing) -> str:
    return "by pattern" if standing.board.key.division == words.PATTERNED else "at the one target"


def _sum(standing: Standing, axis: Axis | None) -> Column:
    """What the board is ordered by on an axis."""
    figures = {entry.slug: entry.mean_drop if axis is None else entry.area[axis] for entry in standing.methods}
    found = {slug: figure.per_seed for slug, figure in figures.items() if figure.gap is None}
    if axis is None:
        return Column("Mean drop", "mean over the targets of accuracy minus the dense control's, points", 2, found)
    span = standing.frame.span(axis)
    over = f" from {span[0]:g} to {span[1]:g}" if span else ""
    return Column("NAUC", f"area under accuracy against log2 of {axis}{over}, chance 0, dense 1", 4, found)
