"""How long networks take, by those of their benchmark that were measured before. No PyTorch here."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

from evaluator.grid import Cell
from evaluator.records import Record, Variant


class Work(NamedTuple):
    """What is to be done for a cell: variants to score, each after so many epochs of training by the evaluator.

    ``own`` is how many epochs the method may train itself; 0 where it is not to be run.
    """

    slug: str
    cell: Cell
    epochs: Mapping[Variant, int]
    own: int = 0


class Pace:
    """Of one benchmark: medians over what is most like the network in question, of all methods.

    ``devices``: the classes of those on which that was measured.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._took: dict[Hashable, list[float]] = defaultdict(list)
        self.devices: set[str] = set()
        for record in records:
            if record.status != "ok":
                continue
            cost = record.cost
            self.devices.add(record.environment.device_class)
            self._took["scoring"].append(cost.scoring_seconds)
            if cost.retraining_epochs:
                self._took["epoch"].append(cost.retraining_seconds / cost.retraining_epochs)
            for kind in _of_scoring(record.variant, record.cell):
                self._took[kind].append(cost.retraining_seconds + cost.scoring_seconds)
            if record.variant == "method":
                for kind in _of_pruning(record.submission, record.cell):
                    self._took[kind].append(cost.pruning_seconds)

    def seconds(self, work: Work) -> float | None:
        """Estimate, pruning included; None where nothing of the benchmark was measured."""
        scoring = [self._scoring(variant, work.cell, epochs) for variant, epochs in work.epochs.items()]
        known = [seconds for seconds in scoring if seconds is not None]
        pruning = self._pruning(work) if "method" in work.epochs else 0
        return pruning + sum(known) if known else None

    def _scoring(self, variant: Variant, cell: Cell, epochs: int) -> float | None:
        like, *less = _of_scoring(variant, cell)
        epoch, scoring = self._median(["epoch"]), self._median(["scoring"])
        if like in self._took or epoch is None or scoring is None:
            return self._median([like, *less])
        return epochs * epoch + scoring

    def _pruning(self, work: Work) -> float:
        same, others = _of_pruning(work.slug, work.cell)
        epoch = self._median(["epoch"])
        if same in self._took or not work.own or epoch is None:
            return self._median([same, others]) or 0
        return work.own * epoch

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
