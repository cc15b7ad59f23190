"""What a chart draws, taken from a standing: the rows behind every mark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluator.records.record import SCRATCH
from leaderboard import words
from leaderboard.charts import Drawing, Rows
from leaderboard.entries import Axis, Entry, Point, Trial
from leaderboard.scales import MARGIN
from leaderboard.series import CROWD, Look
from leaderboard.standings import Standing

Series = dict[str, tuple[str, str]]

CONTROL_LOOKS = {
    "matched-magnitude": ("var(--control)", "square"),
    "matched-random": ("var(--control)", "circle"),
    "scratch-e": ("var(--control)", "triangle-up"),
    "scratch-b": ("var(--control)", "diamond"),
}
SPREAD = 0.06
"""Share of the axis over which methods at one target are set side by side so that all are seen."""
SINGLE_STEP = 0.009
"""The same share from one method to its next control."""
WIDE_SPREAD = 0.7
"""Width of the same in log2 where targets are patterns, with nothing between them."""


@dataclass(frozen=True)
class _Ground:
    """The horizontal axis of one chart: a factor, or places of patterns."""

    axis: Axis | None
    primary: bool
    places: Mapping[str, float]
    octaves: float
    """From the first target to the last, with what a chart leaves free on both sides."""
    dense: Mapping[int, float]
    """Accuracy of the dense control by seed."""

    @classmethod
    def of(cls, standing: Standing, axis: Axis | None) -> _Ground:
        labels = [target.label for target in standing.frame.targets]
        places = {} if axis else {label: float(2**place) for place, label in enumerate(labels)}
        factors = [target.factor for target in standing.frame.feasible if axis]
        octaves = math.log2(max(factors) / min(factors)) + 2 * MARGIN if factors else float(len(places))
        dense = dict(zip(standing.frame.seeds, map(float, standing.frame.reference), strict=True))
        return cls(axis, axis == standing.frame.primary, places, octaves, dense)

    def x(self, label: str, item: Point | Trial) -> float:
        """Where a point or a seed at the target ``label`` stands; nan where it has no such factor."""
        return float(getattr(item, self.axis)) if self.axis else self.places[label]

    def shift(self, position: int, count: int) -> float:
        """Methods at one target stand side by side."""
        width = SPREAD * self.octaves if self.axis else min(WIDE_SPREAD, 0.1 * count)
        return float(2 ** (width * (position / (count - 1) - 0.5))) if self.primary and count > 1 else 1.0


def compare(standing: Standing, axis: Axis | None, looks: Mapping[str, Look], titles: Mapping[str, str]) -> Drawing:
    """All methods of a standing, with their controls in grey behind them."""
    entries = standing.methods
    ground = _Ground.of(standing, axis)
    strong = [entry.slug for entry in entries[:8]] if len(entries) > CROWD else []
    means: Rows = []
    seeds: Rows = []
    controls: Rows = []
    for position, entry in enumerate(entries):
        shift = ground.shift(position, len(entries))
        means += _means(entry, entry.slug, titles[entry.slug], ground, shift)
        if not strong or entry.slug in strong:
            seeds += _seeds(entry, entry.slug, ground, shift)
            for control in standing.controls.get(entry.slug, []):
                controls += _lines(control, ground, 1.0 if axis else shift)
    series = {entry.slug: (looks[entry.slug].colour, looks[entry.slug].shape) for entry in entries}
    return _drawing(standing, ground, means, seeds, controls, series, strong)


def single(standing: Standing, slug: str, axis: Axis | None, look: Look, title: str) -> Drawing:
    """One method against its own controls, all with intervals and seeds."""
    entry = standing.entry(slug)
    ground = _Ground.of(standing, axis)
    names = words.CONTROLS[standing.board.key.division]
    rows: list[tuple[str, str, Entry]] = [
        (control.variant, names[control.variant], control) for control in standing.controls.get(slug, [])
    ]
    if entry is not None:
        rows.append((slug, title, entry))
    means: Rows = []
    seeds: Rows = []
    for position, (name, label, row) in enumerate(rows):
        shift = 2 ** (SINGLE_STEP * ground.octaves * (position - (len(rows) - 1) / 2)) if ground.primary else 1.0
        means += _means(row, name, label, ground, shift)
        seeds += _seeds(row, name, ground, shift)
    series = {**CONTROL_LOOKS, slug: (look.colour, look.shape)}
    return _drawing(standing, ground, means, seeds, [], series, [])


def _drawing(
    standing: Standing, ground: _Ground, means: Rows, seeds: Rows, controls: Rows, series: Series, strong: list[str]
) -> Drawing:
    return Drawing(
        title=words.axis_title(ground.axis, standing.board.key.division),
        means=means,
        seeds=seeds,
        controls=controls,
        dense=_dense(standing),
        series=series,
        smallest_error=_half_image(standing),
        strong=strong,
        patterns=tuple(ground.places),
        targets=tuple(target.factor for target in standing.frame.feasible) if ground.axis and ground.primary else (),
    )


def _drawable(entry: Entry, ground: _Ground) -> list[Point]:
    return [p for p in entry.points if p.accuracy.n and math.isfinite(ground.x(p.target.label, p))]


def _lines(control: Entry, ground: _Ground, shift: float) -> Rows:
    return [
        {
            "m": control.slug,
            "v": control.variant,
            "x": round(ground.x(point.target.label, point) * shift, 4),
            "a": round(point.accuracy.mean, 3),
            **_against(point.drop.mean),
        }
        for point in _drawable(control, ground)
    ]


def _means(entry: Entry, name: str, title: str, ground: _Ground, shift: float) -> Rows:
    rows: Rows = []
    for point in _drawable(entry, ground):
        accuracy, drop = point.accuracy, point.drop
        half = round(accuracy.half, 3) if math.isfinite(accuracy.half) else None
        row: dict[str, Any] = {
            "m": name,
            "name": title,
            "t": point.target.label if math.isnan(point.target.factor) else f"{point.target.label}\N{MULTIPLICATION SIGN}",
            "x": round(ground.x(point.target.label, point) * shift, 4),
            "a": round(accuracy.mean, 3),
            "h": half,
            "tip": _plus_minus(accuracy.mean, accuracy.half, accuracy.n),
            "c": round(point.compression, 3),
            "s": round(point.speedup, 3) if math.isfinite(point.speedup) else None,
        }
        if name in SCRATCH:
            row["dashed"] = True
        row |= _against(drop.mean, drop.half)
        if drop.n:
            row["drop"] = f"{drop.mean:+.2f}".replace("-", "\N{MINUS SIGN}") + " points"
        rows.append(row)
    if rows:
        rows[-1]["last"] = True
    return rows


def _against(mean: float, half: float = math.nan) -> dict[str, float]:
    """Where a mark stands against the dense control, and the ends of its interval; nothing where that is not known."""
    ends = {"dt": round(mean + half, 3), "db": round(mean - half, 3)} if math.isfinite(half) else {}
    return {"d": round(mean, 3), **ends} if math.isfinite(mean) else {}


def _plus_minus(mean: float, half: float, n: int) -> str:
    spread = f" ± {half:.2f}" if math.isfinite(half) else ""
    return f"{mean:.2f}{spread} % (n = {n})"


def _seeds(entry: Entry, name: str, ground: _Ground, shift: float) -> Rows:
    return [
        {
            "m": name,
            "x": round(x * shift, 4),
            "a": round(trial.accuracy, 3),
            **_against(trial.accuracy - ground.dense[trial.seed]),
        }
        for point in entry.points
        for trial in point.trials
        if trial.scored and math.isfinite(x := ground.x(point.target.label, trial))
    ]


def _dense(standing: Standing) -> Rows:
    phase = standing.frame.phase
    interval = standing.dense[phase]
    label = words.TRACKS[standing.board.key.track].dense[phase]
    return [{"a": round(interval.mean, 3), "d": 0, "label": label}] if interval.n else []


def _half_image(standing: Standing) -> float:
    images: Iterable[int] = standing.board.rows["images"].dropna()
    return 50 / max(images, default=10_000)
