"""Paired comparisons behind the findings: a method against its controls, orders against orders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from leaderboard import statistics
from leaderboard.entries import Axis
from leaderboard.standings import Standing
from leaderboard.statistics import Interval

Verdict = Literal["better", "tied", "worse", "same"]


@dataclass(frozen=True)
class Contest:
    """A method minus its control at one target, paired by base model and seed, in points.

    ``same``: both are the same networks, so that there is nothing to compare. ``higher``: the better mean of the two.
    """

    slug: str
    target: str
    per_seed: tuple[float, ...]
    difference: Interval
    higher: float = math.nan
    same: bool = False

    @property
    def verdict(self) -> Verdict:
        """By its 95 % interval, which says nothing where the difference does not vary."""
        if self.same:
            return "same"
        if self.difference.sd < statistics.STILL:
            return "tied"
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "tied"


@dataclass(frozen=True)
class Tally:
    """How contests ended; those of networks with themselves are apart (``same``).

    ``won`` and ``lost``: those decided that remain so after Holm's correction over all contests of their board and phase.
    """

    better: int = 0
    tied: int = 0
    worse: int = 0
    same: int = 0
    won: int = 0
    lost: int = 0

    @property
    def contests(self) -> int:
        """Of two different networks."""
        return self.better + self.tied + self.worse

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.better + other.better, self.tied + other.tied, self.worse + other.worse, self.same + other.same,
                     self.won + other.won, self.lost + other.lost)  # fmt: skip


def against(standing: Standing, variant: str) -> Iterator[Contest]:
    """Every method against one of its own controls, at every target at which all seeds of both have a score."""
    for entry in standing.methods:
        control = next((one for one in standing.controls.get(entry.slug, []) if one.variant == variant), None)
        if control is None:
            continue
        artifacts = _artifacts(standing, entry.slug)
        for position, target in enumerate(standing.frame.targets):
            scored = standing.accuracies(entry, position), standing.accuracies(control, position)
            per_seed = tuple(one - other for one, other in zip(*scored, strict=True))
            difference = statistics.interval(per_seed)
            if difference.n == len(standing.frame.seeds) > 1:
                mine, its = artifacts.get((entry.variant, target.label)), artifacts.get((variant, target.label))
                higher = max(float(np.mean(accuracies)) for accuracies in scored)
                yield Contest(entry.slug, target.label, per_seed, difference, higher, same=mine is not None and mine == its)


def _artifacts(standing: Standing, slug: str) -> dict[tuple[str, str], dict[int, str]]:
    """(variant, target) -> seed -> digest of masks and weights."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for row in standing.board.by_submission.get(slug, []):
        if row.artifact is not None:
            found.setdefault((row.variant, row.target), {})[row.seed] = row.artifact
    return found


def tally(contests: Iterable[Contest]) -> Tally:
    """Of one board and phase."""
    known = list(contests)
    verdicts = Counter(contest.verdict for contest in known)
    differences = [contest.difference for contest in known if not contest.same]
    corrected = statistics.holm([statistics.paired_p(difference) for difference in differences])
    certain = np.sign([one.mean for one in differences]) * (corrected < 1 - statistics.LEVEL)
    won, lost = int((certain > 0).sum()), int((certain < 0).sum())
    return Tally(verdicts["better"], verdicts["tied"], verdicts["worse"], verdicts["same"], won, lost)


def kendall(one: ArrayLike, other: ArrayLike) -> float:
    """Kendall's tau-b of two orders of the same things; nan where one of them is no order."""
    pair = [np.asarray(values, dtype=float) for values in (one, other)]
    a, b = (np.sign(np.subtract.outer(values, values))[np.triu_indices(len(values), 1)] for values in pair)
    scale = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / scale if scale else math.nan


def orders(one: Standing, other: Standing) -> dict[str, Interval]:
    """Target -> Kendall's tau between the orders in two standings of the same targets: one per seed, then their mean.

    Over the methods with all seeds of both at that target, three at least.
    """
    found = {}
    for position, target in enumerate(one.frame.targets):
        rows = []
        for entry in one.methods:
            there = other.entry(entry.slug)
            values = one.accuracies(entry, position) + (other.accuracies(there, position) if there else [math.nan])
            if np.isfinite(values).all():
                rows.append(values)
        if len(rows) < 3:
            continue
        table, seeds = np.array(rows), len(one.frame.seeds)
        interval = statistics.interval([kendall(table[:, i], table[:, seeds + i]) for i in range(seeds)])
        if interval.n == seeds:
            found[target.label] = interval
    return found


@dataclass(frozen=True)
class Reversals:
    """How the orders on the two axes differ, over pairs of methods with an area on both.

    ``certain``: pairs that are significantly ordered on both axes, in opposite directions.
    """

    methods: int
    pairs: int
    reversed: int
    certain: int
    tau: float


def reversals(standing: Standing) -> Reversals | None:
    """None where fewer than three methods have an area on both axes."""
    entries = [entry for entry in standing.methods if all(figure.gap is None for figure in entry.area.values())]
    if len(entries) < 3:
        return None
    axes: tuple[Axis, ...] = ("compression", "speedup")
    tables = [np.array([entry.area[axis].per_seed for entry in entries]) for axis in axes]
    upper = np.triu_indices(len(entries), 1)
    means = [table.mean(axis=1) for table in tables]
    signs = [np.sign(np.subtract.outer(mean, mean))[upper] for mean in means]
    certain = [statistics.holm(statistics.pairwise_p(table)[upper]) < 1 - statistics.LEVEL for table in tables]
    opposite = signs[0] * signs[1] < 0
    return Reversals(
        methods=len(entries), pairs=len(upper[0]), reversed=int(opposite.sum()),
        certain=int((opposite & certain[0] & certain[1]).sum()), tau=kendall(*means),
    )  # fmt: skip
