"""Names at the ends of lines: where each stands so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from leaderboard.expressions import WIDTH

Rows = list[dict[str, Any]]

LETTERS = 0.048
"""For each pixel of a chart's width, so that names take at most about a third of it; more are cut."""
ROOM = 0.055
"""Share of the upright axis that a name takes where a chart is lowest, on a phone."""
EDGE = 0.17
"""Share of the axis of factors before its end within which a line ends beside it: the names of these form a column."""
EDGE_OF_PATTERNS = 1.0
"""In log2, in patterns: all that stand at the last one."""


class Upright(NamedTuple):
    """An upright axis: its domain, and the ways from its values to places and back."""

    low: float
    high: float
    to: Callable[[float], float]
    back: Callable[[float], float]


def nearness(rows: Rows, named: Collection[str], low: float, high: float) -> float:
    """How far before the end of the axis of factors, in log2, a line may end for its name to stand beside the chart.

    One line that ends early has its name there; where several do, their names would stand on the lines of others.
    """
    whole = math.log2(high / low)
    last = {row["m"]: row["x"] for row in rows}
    early = [series for series in named if series in last and math.log2(high / last[series]) > EDGE * whole]
    return whole if len(early) > 1 else EDGE * whole


def with_ends(rows: Rows, named: Mapping[str, str], edge: float, near: float) -> Rows:
    """The rows, of which the last of every series says so; with ``lx``, the place of its name, where it has one.

    Args:
        named: series -> name at its end, which is written where it is not that of the row.
        edge: end of the axis. ``near``: so far before it, in log2, a name stands there.
    """
    last = {row["m"]: position for position, row in enumerate(rows)}
    marked = list(rows)
    for series, position in last.items():
        row = {**rows[position], "last": True}
        if series in named:
            row["lx"] = round(edge, 4) if math.log2(edge / row["x"]) <= near else row["x"]
            if (name := cut(named[series], WIDTH)) != row.get("name"):
                row["short"] = name
        marked[position] = row
    return marked


def cut(name: str, width: float) -> str:
    """As much of a name as there is room for in a chart so wide."""
    most = int(LETTERS * width)
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def place(ends: Sequence[tuple[dict[str, Any], float]], name: str, axis: Upright) -> None:
    """Write into rows where their names stand, as values of an axis; each comes with the value at the end of its line."""
    low, span = axis.to(axis.low), axis.to(axis.high) - axis.to(axis.low)
    wanted = [(axis.to(min(max(value, axis.low), axis.high)) - low) / span for _, value in ends]
    for (row, _), share in zip(ends, apart(wanted), strict=True):
        row[name] = round(axis.back(low + share * span), 4)


def apart(places: Sequence[float], room: float = ROOM) -> list[float]:
    """Places between 0 and 1 moved at least ``room`` apart, as little as can be, in the same order.

    Those that are too close move together, about where they are on average; where there is no room for all, they share it.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    room = min(room, 1 / max(len(places) - 1, 1))
    groups: list[list[float]] = []
    for position, i in enumerate(order):
        groups.append([places[i] - position * room])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    free = max(1 - room * (len(places) - 1), 0.0)
    level = [min(max(_mean(group), 0.0), free) for group in groups for _ in group]
    moved = [0.0] * len(places)
    for position, i in enumerate(order):
        moved[i] = level[position] + position * room
    return moved


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
