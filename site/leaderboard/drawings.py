"""What a chart draws, taken from a standing: the rows behind every mark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from leaderboard.charts import Drawing, Rows
from leaderboard.entries import Axis, Entry, Point
from leaderboard.series import CROWD, Look
from leaderboard.standings import Standing

CONTROL_LOOKS = {"matched-magnitude": ("var(--control)", "square"), "matched-random": ("var(--control)", "circle")}
CONTROL_TITLES = {
    "matched-magnitude": "same densities, magnitude scores",
    "matched-random": "same densities, random scores",
}
DENSE_LABELS = {"after": "dense + same retraining", "before": "dense"}
SPREAD = 0.26
"""Width, in log2 of compression, over which methods at one target are set side by side so that all are seen."""


def compare(standing: Standing, axis: Axis, looks: Mapping[str, Look], titles: Mapping[str, str]) -> Drawing:
    """All methods of a standing, with their matched controls as grey lines behind them."""
    entries = standing.methods
    crowded = len(entries) > CROWD
    strong = [entry.slug for entry in entries[:8]] if crowded else []
    means: Rows = []
    seeds: Rows = []
    for position, entry in enumerate(entries):
        shift = _shift(position, len(entries)) if axis == standing.frame.primary else 1.0
        means += _means(entry, entry.slug, titles[entry.slug], axis, shift)
        if not strong or entry.slug in strong:
            seeds += _seeds(entry, entry.slug, axis, shift)
    shown = strong or [entry.slug for entry in entries]
    controls = [
        {"m": slug, "v": control.variant, "x": round(getattr(point, axis), 4), "a": round(point.accuracy.mean, 3)}
        for slug in shown
        for control in standing.controls.get(slug, [])
        for point in _drawable(control, axis)
    ]
    series = {entry.slug: (looks[entry.slug].colour, looks[entry.slug].shape) for entry in entries}
    return Drawing(axis, means, seeds, controls, _dense(standing), series, _half_image(standing), strong)


def single(standing: Standing, slug: str, axis: Axis, look: Look, title: str) -> Drawing:
    """One method against its own matched controls, all with intervals and seeds."""
    entry = standing.entry(slug)
    rows: list[tuple[str, str, Entry]] = [
        (control.variant, CONTROL_TITLES[control.variant], control) for control in standing.controls.get(slug, [])
    ]
    if entry is not None:
        rows.append((slug, title, entry))
    means: Rows = []
    seeds: Rows = []
    for position, (name, label, row) in enumerate(rows):
        shift = 2 ** (0.04 * (position - 1)) if axis == standing.frame.primary else 1.0
        means += _means(row, name, label, axis, shift)
        seeds += _seeds(row, name, axis, shift)
    series = {**CONTROL_LOOKS, slug: (look.colour, look.shape)}
    return Drawing(axis, means, seeds, [], _dense(standing), series, _half_image(standing))


def _shift(position: int, count: int) -> float:
    return float(2 ** (SPREAD * (position / (count - 1) - 0.5))) if count > 1 else 1.0


def _drawable(entry: Entry, axis: Axis) -> list[Point]:
    return [p for p in entry.points if p.accuracy.n and math.isfinite(getattr(p, axis))]


def _means(entry: Entry, name: str, title: str, axis: Axis, shift: float) -> Rows:
    rows: Rows = []
    for point in _drawable(entry, axis):
        accuracy, drop = point.accuracy, point.drop
        half = round(accuracy.half, 3) if math.isfinite(accuracy.half) else None
        row: dict[str, Any] = {
            "m": name,
            "name": title,
            "t": point.target.label if math.isnan(point.target.factor) else f"{point.target.label}\N{MULTIPLICATION SIGN}",
            "x": round(getattr(point, axis) * shift, 4),
            "a": round(accuracy.mean, 3),
            "h": half,
            "tip": _plus_minus(accuracy.mean, accuracy.half, accuracy.n),
            "c": round(point.compression, 3),
            "s": round(point.speedup, 3) if math.isfinite(point.speedup) else None,
        }
        if drop.n:
            row["drop"] = f"{drop.mean:+.2f}".replace("-", "\N{MINUS SIGN}") + " points"
        rows.append(row)
    return rows


def _plus_minus(mean: float, half: float, n: int) -> str:
    spread = f" ± {half:.2f}" if math.isfinite(half) else ""
    return f"{mean:.2f}{spread} % (n = {n})"


def _seeds(entry: Entry, name: str, axis: Axis, shift: float) -> Rows:
    return [
        {"m": name, "x": round(getattr(trial, axis) * shift, 4), "a": round(trial.accuracy, 3)}
        for point in entry.points
        for trial in point.trials
        if trial.scored and math.isfinite(getattr(trial, axis))
    ]


def _dense(standing: Standing) -> Rows:
    phase = standing.frame.phase
    interval = standing.dense[phase]
    return [{"a": round(interval.mean, 3), "label": DENSE_LABELS[phase]}] if interval.n else []


def _half_image(standing: Standing) -> float:
    images: Iterable[int] = standing.board.rows["images"].dropna()
    return 50 / max(images, default=10_000)
