"""What a chart of reported figures draws; every mark says that it is only reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from leaderboard.charts import Drawing, Rows
from leaderboard.corpus import Report
from leaderboard.entries import Axis
from leaderboard.formats import MINUS
from leaderboard.series import CROWD, Look

NAME = "reported-"
"""With which the names of series of reported figures begin."""
REPORTED = ("var(--control)", "saltire")
"""How a reported figure looks beside measured ones."""
LEAST = 2.0
"""Compression or speedup from which a result counts as one of pruning in the chart of years."""


@dataclass(frozen=True)
class Claim:
    """A top-1 that somebody reported, percent, at a compression or speedup (nan where not said)."""

    source: str
    note: str
    top1: float
    compression: float
    speedup: float
    slug: str | None = None
    """The method of this site, where the figure stands in its metadata."""
    dense: float = math.nan
    """Top-1 of the dense network that was pruned, where it was said."""

    def factor(self, axis: Axis) -> float:
        return self.compression if axis == "compression" else self.speedup


def by_factor(reports: Iterable[Report], axis: Axis, looks: Mapping[str, Look]) -> Drawing:
    """Top-1 against a factor; the results of one method of a paper are joined."""
    rows: dict[str, Rows] = {}
    known = [one for one in reports if math.isfinite(one.top1) and math.isfinite(getattr(one, axis))]
    for one in sorted(known, key=lambda report: (report.series, getattr(report, axis))):
        rows.setdefault(one.series, []).append(_row(one, getattr(one, axis)))
    words = "Compression" if axis == "compression" else "Speedup"
    return Drawing(
        title=f"{words}, as reported",
        means=[row for own in rows.values() for row in own],
        controls=[],
        dense=[],
        series={name: (looks[name].colour, looks[name].shape) for name in rows},
        named={name: own[0]["name"] for name, own in rows.items()} if len(rows) <= CROWD else {},
    )


def yearly(reports: Iterable[Report]) -> dict[int, list[Report]]:
    """Year -> results with a top-1 at a compression or speedup of ``LEAST`` or more, the best first."""
    found: dict[int, list[Report]] = {}
    for one in reports:
        if math.isfinite(one.top1) and max(one.factors, default=0) >= LEAST:
            found.setdefault(one.paper.year, []).append(one)
    return {year: sorted(found[year], key=lambda one: (-one.top1, one.number)) for year in sorted(found)}


def by_year(years: Mapping[int, list[Report]]) -> Drawing:
    """The best of every year as a mark, the others as dots."""
    places = {year: float(2**place) for place, year in enumerate(years)}
    return Drawing(
        title="Year of the paper",
        means=[
            {**_row(best, places[year]), "m": "best", "t": str(year), "as": [round(one.top1, 3) for one in others]}
            for year, (best, *others) in years.items()
        ],
        controls=[],
        dense=[],
        series={"best": ("var(--accent)", "diamond")},
        patterns=tuple(map(str, years)),
    )


def beside(measured: Drawing, claims: Iterable[Claim], axis: Axis) -> Drawing:
    """A chart of measured figures with the reported ones in grey."""
    rows: Rows = []
    for position, claim in enumerate(claims):
        if math.isfinite(claim.factor(axis)):
            row = {"m": f"{NAME}{position}", "name": claim.source, "t": "as reported", "x": round(claim.factor(axis), 4)}
            rows.append({**row, **_figures(claim.top1, claim.compression, claim.speedup)})
    names = [str(row["m"]) for row in rows]
    return replace(
        measured,
        means=[*rows, *measured.means],
        series={**dict.fromkeys(names, REPORTED), **measured.series},
        strong=[*names, *measured.strong] if measured.strong else [],
    )


def _row(one: Report, x: float) -> dict[str, Any]:
    row: dict[str, Any] = {"m": one.series, "name": one.label, "t": "as reported", "x": round(x, 4)}
    if math.isfinite(one.change):
        row["drop"] = f"{one.change:+.2f}".replace("-", MINUS) + " points"
    return {**row, **_figures(one.top1, one.compression, one.speedup)}


def _figures(top1: float, compression: float, speedup: float) -> dict[str, Any]:
    return {
        "a": round(top1, 3),
        "tip": f"{top1:.2f} % (as reported)",
        "c": round(compression, 3) if math.isfinite(compression) else None,
        "s": round(speedup, 3) if math.isfinite(speedup) else None,
    }
