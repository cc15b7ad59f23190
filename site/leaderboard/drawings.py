"""What a chart draws, taken from a standing: the rows behind every mark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evaluator.records.record import SCRATCH
from leaderboard import statistics, words
from leaderboard.charts import Drawing, Rows
from leaderboard.entries import Axis, Entry, Point, Trial
from leaderboard.formats import asked
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
WIDE_SPREAD, WIDE_STEP = 0.7, 0.1
"""Width of the same in log2 where targets stand side by side, with nothing between them: at most, and for each method."""


@dataclass(frozen=True)
class _Ground:
    """The horizontal axis of one chart: a factor, or places of targets side by side."""

    axis: Axis | None
    primary: bool
    places: Mapping[str, float]
    octaves: float
    """From the first target to the last, with what a chart leaves free on both sides."""
    dense: Mapping[int, float]
    """Accuracy of the dense control by seed."""

    @classmethod
    def of(cls, standing: Standing, axis: Axis | None) -> _Ground:
        labels = [target.label for target in standing.frame.feasible]
        places = {} if axis else {label: float(2**place) for place, label in enumerate(labels)}
        factors = [target.factor for target in standing.frame.feasible if axis]
        octaves = math.log2(max(factors) / min(factors)) + 2 * MARGIN if factors else float(len(places))
        dense = dict(zip(standing.frame.seeds, standing.frame.reference, strict=True))
        return cls(axis, axis == standing.frame.primary, places, octaves, dense)

    def x(self, label: str, item: Point | Trial) -> float:
        """Where a point or a seed at the target ``label`` stands; nan where it has no such factor."""
        return float(getattr(item, self.axis)) if self.axis else self.places[label]

    def shift(self, position: int, count: int) -> float:
        """Methods at one target stand side by side."""
        width = SPREAD * self.octaves if self.axis else min(WIDE_SPREAD, WIDE_STEP * count)
        return float(2 ** (width * (position / (count - 1) - 0.5))) if self.primary and count > 1 else 1.0

    def side(self, order: list[str]) -> dict[str, Any]:
        """The same for a page that shows a few of the methods."""
        if not self.primary or len(order) < 2:
            return {}
        wide = {"width": SPREAD * self.octaves} if self.axis else {"width": WIDE_SPREAD, "each": WIDE_STEP}
        return {"order": order, **wide}


def compare(standing: Standing, axis: Axis | None, looks: Mapping[str, Look], titles: Mapping[str, str]) -> Drawing:
    """All methods of a standing, with their controls in grey behind them."""
    entries = standing.methods
    ground = _Ground.of(standing, axis)
    strong = [entry.slug for entry in entries[:8]] if len(entries) > CROWD else []
    means: Rows = []
    controls: Rows = []
    for position, entry in enumerate(entries):
        shift = ground.shift(position, len(entries))
        magnitude = next((c for c in standing.controls.get(entry.slug, []) if c.variant == "matched-magnitude"), None)
        means += _means(entry, entry.slug, titles[entry.slug], ground, shift, magnitude)
        if not strong or entry.slug in strong:
            for control in standing.controls.get(entry.slug, []):
                controls += _lines(control, ground, 1.0 if axis else shift)
    series = {entry.slug: (looks[entry.slug].colour, looks[entry.slug].shape) for entry in entries}
    named = {slug: titles[slug] for slug in strong or series}
    return replace(_drawing(standing, ground, means, controls, series, strong), named=named, side=ground.side([*series]))


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
    for position, (name, label, row) in enumerate(rows):
        shift = 2 ** (SINGLE_STEP * ground.octaves * (position - (len(rows) - 1) / 2)) if ground.primary else 1.0
        means += _means(row, name, label, ground, shift)
    series = {**CONTROL_LOOKS, slug: (look.colour, look.shape)}
    return replace(_drawing(standing, ground, means, [], series, []), named={**words.AGAINST, slug: title})


def _drawing(standing: Standing, ground: _Ground, means: Rows, controls: Rows, series: Series, strong: list[str]) -> Drawing:
    return Drawing(
        title=words.axis_title(ground.axis, standing.board.key.division),
        means=means,
        controls=controls,
        dense=_dense(standing),
        series=series,
        smallest_error=_half_image(standing),
        strong=strong,
        patterns=tuple(map(asked, ground.places)),
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
            **_known("d", point.drop.mean),
        }
        for point in _drawable(control, ground)
    ]


def _means(entry: Entry, name: str, title: str, ground: _Ground, shift: float, magnitude: Entry | None = None) -> Rows:
    rows: Rows = []
    for point in _drawable(entry, ground):
        accuracy, drop = point.accuracy, point.drop
        row: dict[str, Any] = {
            "m": name,
            "name": title,
            "t": asked(point.target.label),
            "x": round(ground.x(point.target.label, point) * shift, 4),
            "a": round(accuracy.mean, 3),
            **_known("h", accuracy.half),
            "n": accuracy.n,
            "c": round(point.compression, 3),
            **_known("s", point.speedup),
            **_known("d", drop.mean),
            **_known("e", drop.half),
            **_seeds(point, ground, shift),
            **_gains(point, magnitude),
        }
        if name in SCRATCH:
            row["dashed"] = True
        rows.append(row)
    return rows


def _known(name: str, value: float) -> dict[str, float]:
    """A part of a row; nothing where the value is not known."""
    return {name: round(value, 3)} if math.isfinite(value) else {}


def _seeds(point: Point, ground: _Ground, shift: float) -> dict[str, list[float]]:
    """The trials of a point; places of their own only on the axis that comes out, where they differ."""
    label = point.target.label
    trials = [trial for trial in point.trials if trial.scored and math.isfinite(ground.x(label, trial))]
    row = {"as": [round(trial.accuracy, 3) for trial in trials]}
    drops = [trial.accuracy - ground.dense[trial.seed] for trial in trials]
    if all(map(math.isfinite, drops)):
        row["ds"] = [round(drop, 3) for drop in drops]
    if not ground.primary:
        row["xs"] = [round(ground.x(label, trial) * shift, 4) for trial in trials]
    return row


def _gains(point: Point, magnitude: Entry | None) -> dict[str, Any]:
    """Against magnitude scores in the densities of the method, paired by seed."""
    other = next((one for one in magnitude.points if one.target == point.target), None) if magnitude else None
    known = {trial.seed: trial.accuracy for trial in other.trials if trial.scored} if other else {}
    scored = [trial for trial in point.trials if trial.scored]
    gains = [trial.accuracy - known[trial.seed] for trial in scored if trial.seed in known]
    if not gains or len(gains) < len(scored):
        return {}
    paired = statistics.interval(gains)
    return {**_known("g", paired.mean), **_known("f", paired.half), "gs": [round(gain, 3) for gain in gains]}


def _dense(standing: Standing) -> Rows:
    phase = standing.frame.phase
    interval = standing.dense[phase]
    label = words.TRACKS[standing.board.key.track].dense[phase]
    return [{"a": round(interval.mean, 3), "d": 0, "g": 0, "label": label}] if interval.n else []


def _half_image(standing: Standing) -> float:
    return 50 / (standing.board.images or 10_000)
