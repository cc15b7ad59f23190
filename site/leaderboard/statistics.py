"""Summary figures, intervals and ranks: sections 6 and 7 of the measurement protocol, with scipy underneath.

Accuracies are percent (0 to 100), compressions and speedups are factors (1 or more), ``x`` is always a factor and is
taken to log2 here.  A value that does not exist is ``nan``: nothing is filled in, nothing is extrapolated.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from operator import itemgetter

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Points = list[tuple[float, float]]
"""Points in the order of their places: log2 of a factor, and the accuracy there."""
LEVEL = 0.95
STILL = 1e-9
"""Differences that vary by less do not vary: whole images over a few seeds are equal too often for that to be certainty."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds with Student's t interval (half-width 2.48 s at n = 3); nan where there is too little."""

    mean: float
    half: float
    sd: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


@dataclass(frozen=True, slots=True)
class Crossing:
    """The largest factor at which accuracy holds; ``beyond``: it never fell below, so that this is a lower bound."""

    factor: float
    beyond: bool


@lru_cache(maxsize=64)
def t_quantile(df: int, level: float = LEVEL) -> float:
    """Two-sided quantile of Student's t."""
    return float(special.stdtrit(df, (1 + level) / 2))


def interval(values: ArrayLike) -> Interval:
    """Mean, t interval and sample standard deviation of the finite ``values``."""
    known = [float(value) for value in values] if isinstance(values, list | tuple) else np.asarray(values, float).tolist()
    finite = [value for value in known if math.isfinite(value)]
    n = len(finite)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(finite) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    return Interval(mean, t_quantile(n - 1) * sd / math.sqrt(n), sd, n)


def paired(values: ArrayLike, reference: ArrayLike) -> Interval:
    """Mean of ``values - reference``, paired by position (base model and seed); pairs with a gap are left out."""
    return interval(np.asarray(values, dtype=float) - np.asarray(reference, dtype=float))


def across(benchmarks: Sequence[ArrayLike], draws: int = 10_000) -> tuple[float, float, float]:
    """(mean, low, high) of paired differences over benchmarks: a hierarchical bootstrap of benchmarks, then of their seeds,
    with which base models go; percentiles of the means of ``draws`` draws, the same ones every time.

    Args:
        benchmarks: one sequence of differences by seed for each; every benchmark counts the same.
    """
    values = [np.asarray(own, dtype=float) for own in benchmarks]
    if not values:
        return math.nan, math.nan, math.nan
    random = np.random.default_rng(0)
    means = np.zeros(draws)
    for chosen in random.integers(len(values), size=(len(values), draws)):
        for position, own in enumerate(values):
            here = np.flatnonzero(chosen == position)
            means[here] += own[random.integers(len(own), size=(len(here), len(own)))].mean(axis=1)
    low, high = np.quantile(means / len(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.mean([own.mean() for own in values])), float(low), float(high)


def paired_p(difference: Interval) -> float:
    """Two-sided p of the t test behind an interval of paired differences; 1 where they do not vary, nan of a single one."""
    if difference.n < 2:
        return math.nan
    if difference.sd < STILL:
        return 1.0
    t = abs(difference.mean) * math.sqrt(difference.n) / difference.sd
    return float(2 * special.stdtr(difference.n - 1, -t))


def curve(x: ArrayLike, accuracy: ArrayLike) -> Points:
    """Points in the order of x, taken to log2; nan where there is none. A curve is short: lists are faster than arrays."""
    factors, heights = (
        values if isinstance(values, list) else np.asarray(values, float).tolist() for values in (x, accuracy)
    )
    points = [
        (math.log2(factor) if factor > 0 else math.nan, float(height))
        for factor, height in zip(factors, heights, strict=True)
    ]
    known = not any(math.isnan(position) for position, _ in points)
    return sorted(points, key=itemgetter(0) if known else lambda point: math.inf if math.isnan(point[0]) else point[0])


def area(points: Points, low: float, high: float) -> float:
    """Mean accuracy over [low, high] in log2: the trapezoid under a curve, divided by its width.

    nan when a point is missing or the points do not reach both ends.
    """
    start, end = math.log2(low), math.log2(high)
    if not all(map(math.isfinite, chain.from_iterable(points))) or len(points) < 2 or end <= start:
        return math.nan
    if points[0][0] > start + 1e-9 or points[-1][0] < end - 1e-9:
        return math.nan
    inner = [point for point in points if start < point[0] < end]
    first, last = ((place, _height(points, place)) for place in (start, end))
    whole = (first, *inner, last)
    under = math.fsum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(whole))
    return under / (end - start)


def _height(points: Points, place: float) -> float:
    """On the line through the points, which end there."""
    after = bisect_right(points, place, key=itemgetter(0))
    before, height = points[max(after - 1, 0)]
    if after in (0, len(points)) or before == place:
        return height
    position, other = points[after]
    return (other - height) / (position - before) * (place - before) + height


def at(x: ArrayLike, accuracy: ArrayLike, factor: float) -> float:
    """Accuracy at a factor on the line through the points, in log2; nan outside them, and where a point is missing."""
    order = np.argsort(np.asarray(x, dtype=float), kind="stable")
    position = np.log2(np.asarray(x, dtype=float)[order])
    height = np.asarray(accuracy, dtype=float)[order]
    place = math.log2(factor)
    if not (np.isfinite(position).all() and np.isfinite(height).all()) or position.size == 0:
        return math.nan
    if not position[0] - 1e-9 <= place <= position[-1] + 1e-9:
        return math.nan
    return float(np.interp(place, position, height))


def nauc(area: float, dense: float, chance: float) -> float:
    """``area`` between chance (0) and the dense control (1): (AUC - c) / (a0 - c)."""
    return (area - chance) / (dense - chance) if dense > chance else math.nan


def crossing(points: Points, floor: float) -> Crossing:
    """C@d or S@d: the largest factor before a curve first falls below ``floor``, interpolated in log2.

    The first point must be the dense control at x = 1.  A missing point before the crossing makes the answer nan.
    """
    before = above = math.nan
    for position, height in points:
        if not math.isfinite(height + position):
            return Crossing(math.nan, beyond=False)
        if height < floor:
            share = (above - floor) / (above - height)
            return Crossing(float(2 ** (before + share * (position - before))), beyond=False)
        before, above = position, height
    return Crossing(float(2 ** points[-1][0]), beyond=True) if points else Crossing(math.nan, beyond=False)


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values after Holm, in the order given; nan stays nan and does not count."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (order.size - np.arange(order.size))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if order.size else steps
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjusted p-values after Benjamini and Hochberg, in the order given; nan stays nan and does not count."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(-p[known], kind="stable")]
    steps = p[order] * order.size / np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps), 1.0) if order.size else steps
    return adjusted


def welch(one: ArrayLike, other: ArrayLike) -> Floats:
    """Two-sided p of Welch's t test for every column of two samples (observation x column).

    nan where a sample has fewer than two rows, and where neither sample varies at all: whole images over a few seeds are
    equal by chance too often for that to be certainty.
    """
    samples = [np.asarray(sample, dtype=float) for sample in (one, other)]
    if min(len(sample) for sample in samples) < 2:
        return np.full(samples[0].shape[1], np.nan)
    still = [np.ptp(sample, axis=0) == 0 for sample in samples]
    errors = [
        np.where(same, 0.0, sample.var(axis=0, ddof=1) / len(sample)) for sample, same in zip(samples, still, strict=True)
    ]
    total = errors[0] + errors[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0)) / np.sqrt(total)
        df = total**2 / sum(error**2 / (len(sample) - 1) for error, sample in zip(errors, samples, strict=True))
        p = 2 * special.stdtr(df, -t)
    return np.asarray(np.where(still[0] & still[1], np.nan, p), dtype=np.float64)


def pairwise_p(values: Floats) -> Floats:
    """Two-sided p of the paired t test for every pair of rows of ``values`` (method x seed), as a square.

    1 where their difference does not vary.
    """
    difference = values[:, None, :] - values[None, :, :]
    n = values.shape[1]
    mean = difference.mean(axis=2)
    error = difference.std(axis=2, ddof=1) / math.sqrt(n) if n > 1 else np.full(mean.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean) / error
    still = np.isnan(t) | (np.ptp(difference, axis=2) < STILL)
    p = np.where(still, 1.0, 2 * special.stdtr(max(n - 1, 1), -np.nan_to_num(t, nan=0.0, posinf=np.inf)))
    np.fill_diagonal(p, np.nan)
    return np.asarray(p, dtype=np.float64)


def rank_ranges(values: ArrayLike, level: float = LEVEL) -> list[tuple[int, int]]:
    """Range of ranks of every row of ``values`` (method x seed, higher is better).

    All that are not significantly worse than the best (or than one of the best, where several are level) share rank 1. For
    the others a method's best rank is one more than the number of methods significantly better; its worst rank leaves below
    it only those significantly worse. Holm's correction is over all pairs of the table.
    """
    table = np.asarray(values, dtype=float)
    count = len(table)
    if count == 0:
        return []
    better = beaten(table, level)
    mean = table.mean(axis=1)
    first = ~np.any(better[:, np.flatnonzero(mean == mean.max())], axis=1)
    return [(1 if first[i] else 1 + int(better[i].sum()), count - int(better[:, i].sum())) for i in range(count)]


def beaten(values: ArrayLike, level: float = LEVEL) -> NDArray[np.bool_]:
    """Whether a row of ``values`` (method x seed) is significantly worse than another, as a square: [worse, better].

    Holm over all pairs of the table. Over the comparisons with the best alone it would find more, and too much: which is the
    best is known from the same seeds.
    """
    table = np.asarray(values, dtype=float)
    p, mean = pairwise_p(table), table.mean(axis=1)
    upper = np.triu_indices(len(table), 1)
    significant = np.zeros(p.shape, dtype=bool)
    significant[upper] = holm(p[upper]) < 1 - level
    significant |= significant.T
    return np.asarray(significant & (mean[None, :] > mean[:, None]), dtype=np.bool_)


def pareto(x: ArrayLike, accuracy: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other point beats on one axis without losing on the other (higher is better on both)."""
    points = np.column_stack([np.asarray(x, dtype=float), np.asarray(accuracy, dtype=float)])
    at_least = np.all(points[None, :, :] >= points[:, None, :], axis=2)
    above = np.any(points[None, :, :] > points[:, None, :], axis=2)
    return np.asarray(~np.any(at_least & above, axis=1) & np.all(np.isfinite(points), axis=1), dtype=np.bool_)


def hypervolume(x: ArrayLike, accuracy: ArrayLike, chance: float) -> float:
    """Area dominated by the points above the reference (1, chance), in log2 of the factor times points of accuracy."""
    factor, height = np.asarray(x, dtype=float), np.asarray(accuracy, dtype=float)
    counts = np.isfinite(factor) & (factor > 1) & (height > chance)
    order = np.lexsort((-height[counts], -factor[counts]))
    volume, reached = 0.0, chance
    for position, level in zip(np.log2(factor[counts][order]), height[counts][order], strict=True):
        if level > reached:
            volume += float(position * (level - reached))
            reached = float(level)
    return volume
