"""What a method leaves of the network: densities of layers, widths of channel groups, and the time of a forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from leaderboard import statistics
from leaderboard.entries import Target
from leaderboard.rows import Row
from leaderboard.statistics import Interval


@dataclass(frozen=True)
class Layer:
    """One prunable layer and its mean density (0 to 1, nan where not measured) at every target."""

    position: int
    shape: str
    total: int
    densities: list[float]


@dataclass(frozen=True)
class Group:
    """One group of channels that go together, and how many of them stay on average at every target (nan: not measured)."""

    position: int
    kept: list[float]


class Way(NamedTuple):
    """How a forward pass was timed; only times of the same way are compared.

    ``processor`` tells which one the device "cpu" was, where it is known: it is not of what a GPU's host timed beside it.
    """

    processor: str
    device: str
    threads: int
    dtype: str
    batch: int


@dataclass(frozen=True)
class Timing:
    """One target, timed in one way: medians over runs, ms, then means over seeds; ``ratio`` is dense ÷ this, by seed."""

    median: Interval
    low: float
    high: float
    ratio: Interval


@dataclass(frozen=True)
class Latency:
    """All timings of a method on one board; a line per target, in the order of ``ways``, None where not timed."""

    ways: list[Way]
    runs: list[int]
    dense: list[Timing | None]
    lines: list[tuple[Target, list[Timing | None]]]
    sparse_layers: int
    """How many layers of the pruned network ran by kernels for 2:4 sparsity."""

    @property
    def untimed(self) -> bool:
        """Whether there is no dense network to compare with."""
        return not any(self.dense)

    @property
    def shared(self) -> bool:
        """On a processor, where other work may have run beside it."""
        return any(way.device == "cpu" for way in self.ways)


def layers(own: list[Row], targets: list[Target]) -> list[Layer]:
    """From the records of one method on one board."""
    first = next((row for row in own if row.layer_kept is not None), None)
    if first is None:
        return []
    totals = np.array(first.layer_total, dtype=float)
    means = {label: kept / totals for label, kept in _means(own, "layer_kept").items()}
    unknown = np.full(len(totals), np.nan)
    return [
        Layer(i, shape, first.layer_total[i], [float(means.get(target.label, unknown)[i]) for target in targets])
        for i, shape in enumerate(first.layer_shape)
    ]


def groups(own: list[Row], targets: list[Target]) -> list[Group]:
    """Empty where no channels were removed."""
    means = _means(own, "channels")
    count = len(next(iter(means.values()), np.array([])))
    unknown = np.full(count, np.nan)
    return [Group(i, [float(means.get(target.label, unknown)[i]) for target in targets]) for i in range(count)]


def _means(own: list[Row], column: str) -> dict[str, Any]:
    """Target -> mean over seeds of a list."""
    found: dict[str, list[list[int]]] = {}
    for row in own:
        if row.status == "ok" and (values := getattr(row, column)) is not None:
            found.setdefault(row.target, []).append(values)
    return {label: np.mean(lists, axis=0) for label, lists in found.items()}


Times = dict[Way, dict[int, tuple[float, float, float]]]
"""Way -> seed -> median and quartiles, ms."""


def latency(own: list[Row], dense: Iterable[Row], targets: list[Target]) -> Latency | None:
    """None where nothing was timed."""
    by_target = {target.label: _times(row for row in own if row.target == target.label) for target in targets}
    ways = sorted({way for times in by_target.values() for way in times})
    if not ways:
        return None
    reference = _times(dense)
    runs = {way: number for row in own for way, number in _runs(row)}
    return Latency(
        ways=ways,
        runs=[runs[way] for way in ways],
        dense=[_timing(way, reference, reference) for way in ways],
        lines=[(target, [_timing(way, by_target[target.label], reference) for way in ways]) for target in targets],
        sparse_layers=max(max(row.latency_sparse_layers) for row in own if _ways(row)),
    )


def _ways(row: Row) -> list[Way]:
    if not isinstance(row.latency_batch, list):
        return []
    parts = zip(row.latency_device, row.latency_threads, row.latency_dtype, row.latency_batch, strict=True)
    processor = {"cpu": row.device} if row.device_class == "cpu" else {}
    return [Way(processor.get(part[0], ""), *part) for part in parts]


def _runs(row: Row) -> list[tuple[Way, int]]:
    ways = _ways(row)
    return list(zip(ways, row.latency_runs, strict=True)) if ways else []


def _times(rows: Iterable[Row]) -> Times:
    times: Times = {}
    for row in rows:
        for i, way in enumerate(_ways(row)):
            triple = (row.latency_median_ms[i], row.latency_low_ms[i], row.latency_high_ms[i])
            times.setdefault(way, {})[row.seed] = triple
    return times


def _timing(way: Way, times: Times, reference: Times) -> Timing | None:
    found = times.get(way, {})
    if not found:
        return None
    dense = reference.get(way, {})
    median, low, high = (statistics.interval([triple[i] for triple in found.values()]) for i in range(3))
    ratios = [dense[seed][0] / triple[0] for seed, triple in found.items() if seed in dense and triple[0] > 0]
    return Timing(median, low.mean, high.mean, statistics.interval(ratios))
