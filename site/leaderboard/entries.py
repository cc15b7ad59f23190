"""One method (or control) on one board: its accuracy at every target, and the figures that sum it up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from leaderboard import statistics
from leaderboard.formats import TIMES
from leaderboard.rows import Row
from leaderboard.statistics import Interval

Phase = Literal["before", "after"]
Axis = Literal["compression", "speedup"]
DROPS = (0.5, 1.0, 2.0)
"""Points of accuracy given up in C@d and S@d."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the grid: its label, the factor asked for (nan for an n:m pattern), and whether it can be met."""

    label: str
    factor: float
    feasible: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """One seed at one target."""

    seed: int
    status: str
    reason: str | None
    accuracy: float
    """nan unless the status is ok."""
    compression: float
    effective_compression: float
    speedup: float
    collapsed: bool
    epochs: float
    """That the method trained for while pruning."""

    @property
    def scored(self) -> bool:
        return math.isfinite(self.accuracy)


@dataclass(frozen=True, slots=True)
class Point:
    """All seeds at one target; ``missing`` counts the seeds that were not measured."""

    target: Target
    trials: list[Trial]
    missing: int
    accuracy: Interval
    drop: Interval
    compression: float
    effective_compression: float
    speedup: float
    epochs: float

    @property
    def failed(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.scored]

    @property
    def collapsed(self) -> int:
        return sum(trial.collapsed for trial in self.trials if trial.scored)


@dataclass(frozen=True, slots=True)
class Figure:
    """A summary figure over seeds; ``gap`` says in a few words why there is none."""

    interval: Interval
    gap: str | None = None
    per_seed: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """C@d or S@d: geometric mean over seeds; ``beyond``: at least one seed never fell below, so it is a lower bound."""

    factor: float
    beyond: bool
    gap: str | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One seed, and what it counts in a summary figure (a collapsed cell counts chance); dense comes first."""

    height: list[float]
    points: statistics.Points


@dataclass(frozen=True)
class Frame:
    """What the entries of one board and phase share.

    ``reference`` is the accuracy of the dense control per seed, in the order of ``seeds`` (nan where not measured).
    ``stress``: targets beyond, of which something is measured; no summary figure knows them.
    """

    phase: Phase
    seeds: list[int]
    targets: list[Target]
    primary: Axis | None
    chance: float
    reference: list[float]
    stress: list[Target] = field(default_factory=list)

    @property
    def feasible(self) -> list[Target]:
        return [target for target in self.targets if target.feasible]

    def span(self, axis: Axis) -> tuple[float, float] | None:
        """Range of an area: the targets on their own axis, 1 to a quarter of the largest target on the other."""
        factors = [target.factor for target in self.feasible]
        if self.primary is None or not factors:
            return None
        low, high = (min(factors), max(factors)) if axis == self.primary else (1.0, max(factors) / 4)
        return (low, high) if high > low else None


@dataclass(frozen=True)
class Entry:
    """One row of a table."""

    slug: str
    variant: str
    points: list[Point]
    area: dict[Axis, Figure]
    reach: dict[Axis, dict[float, Reach]]
    mean_drop: Figure
    stress: list[Point]

    @property
    def seeds(self) -> tuple[int, int]:
        """Fewest and most seeds behind a figure of this row."""
        counts = [point.accuracy.n for point in self.points if point.target.feasible]
        return (min(counts), max(counts)) if counts else (0, 0)

    @property
    def epochs(self) -> tuple[float, float] | None:
        """Fewest and most epochs that the method trained for at a target; None where nothing was measured."""
        known = [point.epochs for point in self.points if math.isfinite(point.epochs)]
        return (min(known), max(known)) if known else None


def make_entry(slug: str, variant: str, cells: dict[tuple[str, int], Row], frame: Frame) -> Entry:
    """``cells``: rows of the board's frame by (target label, seed), None where a record has no value."""
    points = [_point(target, cells, frame) for target in frame.targets]
    gap = _gap(points, frame)
    axes: tuple[Axis, ...] = ("compression", "speedup")
    counted = [point for point in points if point.target.feasible]
    scored = [{trial.seed: trial for trial in point.trials if trial.scored} for point in counted]
    trials = [[of_seed.get(seed) for of_seed in scored] for seed in frame.seeds]
    factors = [point.target.factor for point in counted]
    curves = {
        axis: [_curve(dense, own, axis, factors, frame) for dense, own in zip(frame.reference, trials, strict=True)]
        for axis in axes
    }
    return Entry(
        slug=slug,
        variant=variant,
        points=points,
        area={axis: _area(curves[axis], axis, frame, gap) for axis in axes},
        reach={axis: _reaches(curves[axis], frame) for axis in axes},
        mean_drop=_mean_drop(curves["compression"], gap),
        stress=[_point(target, cells, frame) for target in frame.stress],
    )


def by_seed(trials: Iterable[Trial], seeds: Iterable[int]) -> list[float]:
    """Accuracies in the order of the seeds; nan where there is none."""
    known = {trial.seed: trial.accuracy for trial in trials}
    return [known.get(seed, math.nan) for seed in seeds]


def _point(target: Target, cells: dict[tuple[str, int], Row], frame: Frame) -> Point:
    rows = [(seed, cells[target.label, seed]) for seed in frame.seeds if (target.label, seed) in cells]
    trials = [_trial(seed, row, frame.phase) for seed, row in rows]
    accuracies = by_seed(trials, frame.seeds)
    scored = [trial for trial in trials if trial.scored]
    return Point(
        target=target,
        trials=trials,
        missing=len(frame.seeds) - len(trials) if target.feasible else 0,
        accuracy=statistics.interval(accuracies),
        drop=statistics.interval([own - dense for own, dense in zip(accuracies, frame.reference, strict=True)]),
        compression=_mean([trial.compression for trial in scored]),
        effective_compression=_mean([trial.effective_compression for trial in scored]),
        speedup=_mean([trial.speedup for trial in scored]),
        epochs=_mean([trial.epochs for trial in scored]),
    )


def _trial(seed: int, row: Row, phase: Phase) -> Trial:
    return Trial(
        seed=seed,
        status=row.status,
        reason=row.reason,
        accuracy=_number(row.accuracy(phase)) if row.status == "ok" else math.nan,
        compression=_number(row.compression),
        effective_compression=_number(row.effective_compression),
        speedup=_number(row.speedup),
        collapsed=bool(row.collapsed),
        epochs=_number(row.pruning_epochs),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _curve(dense: float, trials: list[Trial | None], axis: Axis, factors: list[float], frame: Frame) -> Curve:
    """One seed's curve from the dense control at 1 through every feasible target, in the order of the targets.

    The factor is the one asked for on the targets' own axis, the realised one on the other.
    """
    if axis != frame.primary:
        realised = [(trial.compression, trial.speedup) if trial else (math.nan, math.nan) for trial in trials]
        factors = [pair[axis == "speedup"] for pair in realised]
        if any(map(math.isnan, factors)):  # where one is missing nobody knows
            trials = [None] * len(trials)
    height = [math.nan if trial is None else frame.chance if trial.collapsed else trial.accuracy for trial in trials]
    height.insert(0, dense)
    return Curve(height, statistics.curve([1.0, *factors], height))


def _gap(points: list[Point], frame: Frame) -> str | None:
    """Why this row has no summary figure."""
    missing = sum(point.missing for point in points)
    failed = sum(len(point.failed) for point in points if point.target.feasible)
    if failed:
        return f"{failed} failed"
    if missing:
        return f"{missing} missing"
    return None if all(map(math.isfinite, frame.reference)) else "no dense control"


def _area(curves: list[Curve], axis: Axis, frame: Frame, gap: str | None) -> Figure:
    span = frame.span(axis)
    if gap is not None or span is None:
        return Figure(statistics.interval([]), gap or ("no axis" if frame.primary is None else "no range"))
    start = 1 if axis == frame.primary else 0  # on the targets' own axis the area begins at the first target
    areas = [statistics.area(curve.points[start:], *span) for curve in curves]
    values = [statistics.nauc(area, curve.height[0], frame.chance) for area, curve in zip(areas, curves, strict=True)]
    if not all(map(math.isfinite, values)):
        short = f"ends before {span[1]:g}{TIMES}" if axis != frame.primary else "dense at chance"
        return Figure(statistics.interval([]), short)
    return Figure(statistics.interval(values), None, tuple(values))


def _reaches(curves: list[Curve], frame: Frame) -> dict[float, Reach]:
    """By the points of accuracy given up."""
    if frame.primary is None:
        return {drop: Reach(math.nan, beyond=False, gap="no axis") for drop in DROPS}
    return {drop: _reach([statistics.crossing(curve.points, curve.height[0] - drop) for curve in curves]) for drop in DROPS}


def _reach(crossings: list[statistics.Crossing]) -> Reach:
    found = [crossing.factor for crossing in crossings]
    if not found or not all(map(math.isfinite, found)):
        return Reach(math.nan, beyond=False, gap="incomplete")
    mean = math.fsum(map(math.log2, found)) / len(found)
    return Reach(float(2**mean), beyond=any(crossing.beyond for crossing in crossings))


def _mean_drop(curves: list[Curve], gap: str | None) -> Figure:
    if gap is not None or len(curves[0].height) < 2:
        return Figure(statistics.interval([]), gap or "no targets")
    per_seed = [sum(curve.height[1:]) / len(curve.height[1:]) - curve.height[0] for curve in curves]
    return Figure(statistics.interval(per_seed), None, tuple(per_seed))


def _mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
