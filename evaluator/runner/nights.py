"""What a runner may spend by itself: GPU-hours a night, what is left of them, and on what they go first."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.grid import Grid
from evaluator.records import Store
from evaluator.records.record import DENSE
from evaluator.runner.ledger import read_ledger, write_ledger
from evaluator.runner.stages import Evaluation

log = logging.getLogger("espalier.runner")

KEPT = 60
"""Nights."""
GPUS = Path("/proc/driver/nvidia/gpus")


class Step(NamedTuple):
    """Something to measure in one go."""

    benchmark: str
    slug: str


def steps(grid: Grid, published: Store, cells: Iterable[Mapping[str, Any]]) -> list[Step]:
    """What is missing or stale, as `espalier plan` lists it, benchmark by benchmark as ``by_readers`` has them, and
    there what is shown and stale before what was never there, much of it before little."""
    todo = [cell for cell in cells if cell["todo"] and cell["submission"] != DENSE]
    numbers = Counter((cell["cell"].partition("/")[0], cell["submission"]) for cell in todo)
    stale = {(cell["cell"].partition("/")[0], cell["submission"]) for cell in todo if cell["state"] == "stale"}
    seen = {name: place for place, name in enumerate(by_readers(grid, published))}
    ordered = sorted(numbers, key=lambda one: (seen[one[0]], one not in stale, -numbers[one], one[1]))
    return [Step(*one) for one in ordered]


def by_readers(grid: Grid, published: Store) -> list[str]:
    """Benchmarks, those first that readers look for: with methods to compare, of a ranked tier before others, of a later
    tier before an earlier, and with more methods."""
    tiers = list(grid.tiers)

    def telling(name: str) -> tuple[bool, bool, int, int]:
        tier = grid.benchmarks[name].tier
        methods = sum(path.stem != DENSE for path in (published.folder / name).glob("*.jsonl"))
        return methods > 1, grid.tiers[tier].ranked, tiers.index(tier), methods

    return sorted(grid.benchmarks, key=telling, reverse=True)


def gpus(workers: int | None) -> int:
    """How many of this machine are at work; 1 where there is none, and an hour is one of the processor."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(list(GPUS.glob("*"))) if visible is None else len([name for name in visible.split(",") if name])
    return max(1, min(there, workers or there))


@dataclass(frozen=True)
class Nights:
    """A ledger in ``path``: GPU-seconds by night. A night has the date of the evening on which it began, UTC.

    Args:
        budget: GPU-seconds of a night for what nobody has asked for.
    """

    path: Path
    budget: float

    def left(self, now: float) -> float:
        """GPU-seconds of this night's budget."""
        return max(0.0, self.budget - self.spent(now))

    def spent(self, now: float) -> float:
        """GPU-seconds of this night."""
        return read_ledger(self.path).get(night_of(now), 0.0)  # one that is lost costs one night's budget

    def enter(self, now: float, seconds: float) -> None:
        """Add GPU-seconds that were spent until now."""
        known = read_ledger(self.path)
        known[night_of(now)] = self.spent(now) + seconds
        write_ledger(self.path, dict(sorted(known.items())[-KEPT:]))


@dataclass
class Meter:
    """What a pass spends, in GPU-seconds; ``gpus`` are at work at a time."""

    gpus: int
    now: Callable[[], float]
    spent: float = 0.0

    @contextmanager
    def running(self, evaluation: Evaluation, **about: object) -> Iterator[None]:
        """Ends the evaluation with the block, and logs what it took."""
        began = self.now()
        try:
            yield
        finally:
            evaluation.stop()
            took = self.gpus * (self.now() - began)
            self.spent += took
            log.info("spent", extra={**about, "gpus": self.gpus, "gpu_hours": hours(took)})


def hours(seconds: float) -> float:
    """As they are logged."""
    return round(seconds / 3600, 3)


def night_of(now: float) -> str:
    """From noon to noon."""
    return str((datetime.fromtimestamp(now, UTC) - timedelta(hours=12)).date())
