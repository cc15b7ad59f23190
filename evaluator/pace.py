"""How long networks take, by those of their benchmark that were measured before. No PyTorch here."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from evaluator.grid import Cell
from evaluator.records import Record, Variant


class Pace:
    """Of one benchmark: medians over what is most like the network in question, of all methods."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._took: dict[Hashable, list[float]] = defaultdict(list)
        for record in records:
            if record.status != "ok":
                continue
            for kind in _of_scoring(record.variant, record.cell):
                self._took[kind].append(record.cost.retraining_seconds + record.cost.scoring_seconds)
            if record.variant == "method":
                for kind in _of_pruning(record.submission, record.cell):
                    self._took[kind].append(record.cost.pruning_seconds)

    def seconds(self, slug: str, cell: Cell, variants: Sequence[Variant]) -> float | None:
        """Estimate for some variants of a cell, pruning included; None where nothing of the benchmark was measured."""
        pruning = self._median(_of_pruning(slug, cell)) or 0 if "method" in variants else 0
        scoring = [self._median(_of_scoring(variant, cell)) for variant in variants]
        known = [seconds for seconds in scoring if seconds is not None]
        return pruning + sum(known) if known else None

    def _median(self, kinds: Iterable[Hashable]) -> float | None:
        return next((statistics.median(self._took[kind]) for kind in kinds if kind in self._took), None)


def _of_scoring(variant: Variant, cell: Cell) -> Iterator[Hashable]:
    """From the most to the least alike; a network made smaller by more is trained from scratch for longer."""
    yield variant, cell.track, cell.division, cell.target
    yield variant, cell.division, cell.target
    yield variant, cell.division
    yield variant
    yield None


def _of_pruning(slug: str, cell: Cell) -> Iterator[Hashable]:
    yield slug, cell.track
    yield cell.track, cell.division, "pruning"
