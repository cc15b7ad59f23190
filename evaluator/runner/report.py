"""The comment on a change, in Markdown. Whatever a stranger wrote stands in code, where nothing in it comes to life."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluator.forges import words
from evaluator.records import Record

MOST_FAILURES = 3
MOST_LINES = 25
"""Of a log; the rest is on the page of the method."""
PROBLEMS = ("", "file", "line", "what", "how to mend it")
SMOKED = ("smoke cell", "status", "before %", "after %", "repeatable")
FIGURES = ("benchmark", "track", "target", "cells", "before %", "after %", "published until now %", "failures")
RANKS = ("board", "against", "NAUC", "rank", "neighbours")
LEGEND = "Top-1 accuracy, mean ± standard deviation over seeds; the pages have 95 % intervals instead, which are wider."

Point = tuple[str, str, str, str]
"""Benchmark, track, division, target."""


@dataclass(frozen=True)
class Rank:
    """What the standings say of a method on one board: a mean with its half-width, and a range of ranks.

    ``neighbours`` are the methods that come next, above and below, with their ranges.
    """

    board: str
    axis: str
    area: tuple[float, float]
    low: int
    high: int
    neighbours: Sequence[tuple[str, int, int]] = ()


@dataclass(frozen=True)
class Report:
    """What is known of a change by now."""

    heading: str
    head: str
    code: str
    notes: Sequence[str] = ()
    problems: Sequence[Mapping[str, Any]] = ()
    smoked: Sequence[Mapping[str, Any]] = ()
    records: Sequence[Record] = ()
    before: Sequence[Record] = ()
    ranks: Sequence[Rank] = ()
    preview: str | None = None
    """Where it can be read."""
    unseen: str | None = None
    """Why there is none."""
    command: str | None = field(default=None)

    def text(self) -> str:
        parts = [f"### {self.heading}", origin(self.head, self.code)]
        parts += self.notes
        if self.problems:
            parts.append(_table(PROBLEMS, map(_problem, self.problems)))
        if self.smoked:
            parts.append(_table(SMOKED, map(_smoked, self.smoked)))
            parts += [_log(log) for log in dict.fromkeys(str(cell.get("log") or "") for cell in self.smoked
                                                         if cell["status"] != "ok") if log][:1]  # fmt: skip
        if self.records:
            parts += ["#### Figures", _table(FIGURES, _figures(self.records, self.before)), LEGEND]
        if self.ranks:
            parts += ["#### Among the others", _table(RANKS, map(_rank, self.ranks)),
                      "Ranks are ranges: methods whose ranges overlap are not told apart by these data."]  # fmt: skip
        parts += _failures(self.records)
        if self.preview:
            parts.append(f"Preview of the page, not published: {self.preview}")
        elif self.unseen:
            parts.append(f"No link to a preview of the page: {self.unseen}")
        if self.command:
            parts.append(f"To measure it yourself: `{self.command}`")
        return "\n\n".join(parts)


def origin(head: str, code: str) -> str:
    """What was looked at; a comment with another line is of an earlier look."""
    return f"Commit `{head[:12]}`, by the evaluator of main (`git rev-parse main:evaluator` says `{code[:12]}`)."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _problem(problem: Mapping[str, Any]) -> tuple[str, ...]:
    name = str(problem.get("path", "")).rpartition("/")[2]
    return (
        str(problem.get("severity", "")),
        words.code(name),
        str(problem.get("line") or ""),
        words.code(str(problem.get("message", ""))),
        words.code(str(problem.get("fix", ""))),
    )


def _smoked(cell: Mapping[str, Any]) -> tuple[str, ...]:
    reason = f" {words.code(str(cell['reason']))}" if cell.get("reason") else ""
    scores = (f"{cell[name]:.1f}" if cell.get(name) is not None else "" for name in ("before", "after"))
    again = {True: "yes", False: "**no**", None: ""}[cell["repeatable"]]
    return (words.code(str(cell["cell"])), f"{cell['status']}{reason}", *scores, again)


def _by_point(records: Iterable[Record]) -> dict[Point, list[Record]]:
    points: dict[Point, list[Record]] = {}
    for record in records:
        if record.variant == "method":
            target = record.target if isinstance(record.target, str) else f"{record.target:g}"
            points.setdefault((record.benchmark, record.track, record.division, target), []).append(record)
    return points


def _figures(records: Sequence[Record], published: Sequence[Record]) -> Iterable[tuple[str, ...]]:
    old = _by_point(published)
    for point, cells in sorted(_by_point(records).items()):
        benchmark, track, _, target = point
        known = old.get(point, [])
        failed = sorted({record.status for record in cells if record.status != "ok"})
        scores = (_mean(cells, "before"), _mean(cells, "after"), _mean(known, "after") or _mean(known, "before"))
        yield benchmark, track, target if ":" in target else f"{target}x", str(len(cells)), *scores, ", ".join(failed)


def _mean(records: Iterable[Record], phase: str) -> str:
    values = [score.accuracy for record in records if (score := getattr(record, phase)) is not None]
    if not values:
        return ""
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def _rank(rank: Rank) -> tuple[str, ...]:
    def span(low: int, high: int) -> str:
        return str(low) if low == high else f"{low}–{high}"  # noqa: RUF001

    beside = ", ".join(f"{name} ({span(low, high)})" for name, low, high in rank.neighbours)
    mean, half = rank.area
    return (rank.board, rank.axis, f"{mean:.3f} ± {half:.3f}", span(rank.low, rank.high), beside or "alone on this board")


def _failures(records: Iterable[Record]) -> list[str]:
    failed = [record for record in records if record.status != "ok" and record.variant == "method"]
    if not failed:
        return []
    parts = [f"#### {len(failed)} failed cells"]
    for record in failed[:MOST_FAILURES]:
        parts.append(f"`{record.cell.id}`: {record.status}, {words.code(record.reason or 'no reason was given')}")
        if record.log:
            parts.append(_log(record.log))
    if len(failed) > MOST_FAILURES:
        parts.append(f"and {len(failed) - MOST_FAILURES} more")
    return parts


def _log(text: str) -> str:
    """The end of a log."""
    return words.block("\n".join(text.splitlines()[-MOST_LINES:]))
