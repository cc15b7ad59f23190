"""What a network forgets while its accuracy looks fine: the recall of every class against the dense networks.

After Hooker et al. (1911.05248): the null hypothesis is that pruning moves every class by as much as the whole test set.
Recalls and accuracies are percent, changes are points; a population is the networks of all seeds at one target and phase.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from leaderboard import statistics
from leaderboard.entries import Phase
from leaderboard.rows import Row
from leaderboard.statistics import LEVEL, Floats


@dataclass(frozen=True)
class Population:
    """Networks that differ in their seed alone: ``recall`` is seed x class (nan where the test set has no image of a class),
    ``top1`` is by seed, ``predictions`` holds the digest of what each answered."""

    recall: Floats
    top1: Floats
    predictions: dict[int, str]
    images: int

    @property
    def seeds(self) -> int:
        return len(self.top1)


@dataclass(frozen=True)
class Forgetting:
    """Change from the dense population to the pruned one.

    ``recall`` is the change of every class, ``top1`` that of the whole test set; ``adjusted`` is the p of Welch's test on
    recall minus top-1, after Benjamini and Hochberg over the classes (nan where there is no test).
    """

    recall: Floats
    top1: float
    adjusted: Floats

    @cached_property
    def beyond(self) -> Floats:
        """What a class changes beyond the whole test set, points: below 0, it pays for the others."""
        return np.asarray(self.recall - self.top1, dtype=np.float64)

    @cached_property
    def significant(self) -> NDArray[np.bool_]:
        return np.asarray(np.nan_to_num(self.adjusted, nan=1.0) < 1 - LEVEL, dtype=np.bool_)

    @cached_property
    def harmed(self) -> NDArray[np.bool_]:
        """Classes that lose significantly more than the whole test set."""
        return np.asarray(self.significant & (self.beyond < 0), dtype=np.bool_)

    @property
    def tested(self) -> int:
        """Classes that could be tested."""
        return int(np.isfinite(self.adjusted).sum())

    @property
    def worst(self) -> int:
        """The class that loses most."""
        return int(np.nanargmin(self.beyond))

    @property
    def spread(self) -> float:
        """From the class that loses most to the one that loses least, points."""
        return float(np.nanmax(self.recall) - np.nanmin(self.recall))


def population(rows: Iterable[Row], phase: Phase) -> Population | None:
    """The networks that were scored at a phase, by seed; None where there are none."""
    scored = sorted((row for row in rows if row.status == "ok" and getattr(row, f"{phase}_class_correct") is not None),
                    key=lambda row: int(row.seed))  # fmt: skip
    if not scored:
        return None
    correct = np.array([getattr(row, f"{phase}_class_correct") for row in scored], dtype=float)
    images = np.array(scored[0].class_images, dtype=float)
    return Population(
        recall=np.divide(100 * correct, images, out=np.full(correct.shape, np.nan), where=images > 0),
        top1=100 * correct.sum(axis=1) / images.sum(),
        predictions={int(row.seed): str(getattr(row, f"{phase}_predictions")) for row in scored},
        images=int(images.sum()),
    )


def forgetting(pruned: Population, dense: Population) -> Forgetting:
    """Compare two populations, class by class."""
    p = statistics.welch(pruned.recall - pruned.top1.mean(), dense.recall - dense.top1.mean())
    return Forgetting(
        recall=np.asarray(pruned.recall.mean(axis=0) - dense.recall.mean(axis=0), dtype=np.float64),
        top1=float(pruned.top1.mean() - dense.top1.mean()),
        adjusted=statistics.benjamini_hochberg(p),
    )
