"""What a task uses, looked at from outside through /proc: nothing that runs inside can change what is read here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evaluator.grid import Limits
from evaluator.records import Status

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
MAPPED_FACTOR = 4
"""Shared memory can be hidden from the resident sizes; what is mapped cannot. It may be this many times the limit."""


class Usage(NamedTuple):
    """Memory of some processes in MB; what several of them share counts once."""

    resident_mb: float
    mapped_mb: float


class Watchdog:
    """Compares what the processes below ``pid`` use with the limits, and remembers the most memory seen."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self.pid = pid
        self.limits = limits
        self.peak_mb: float | None = None
        self._mapped_by_one = _sizes(pid)[0]

    def violation(self, seconds: float) -> tuple[Status, str] | None:
        """Status and reason, if the task that has run for ``seconds`` uses more than it may."""
        limits = self.limits
        if seconds > limits.wall_seconds:
            return "timeout", f"ran longer than the limit of {limits.wall_seconds:g} s"
        processes = list(descendants(self.pid))
        if sum(map(threads, processes)) > limits.processes:
            return "method_error", f"more than the limit of {limits.processes} processes and threads"
        usage = measure(processes, self._mapped_by_one)
        if usage.resident_mb:
            self.peak_mb = max(self.peak_mb or 0.0, usage.resident_mb)
        if usage.resident_mb > limits.memory_mb or usage.mapped_mb > MAPPED_FACTOR * limits.memory_mb:
            return "out_of_memory", f"more than the limit of {limits.memory_mb} MB of memory"
        return None


def measure(processes: Sequence[int], mapped_by_one: float = 0.0) -> Usage:
    """Usage of ``processes``; ``mapped_by_one`` MB of address space are each one's own from the start."""
    sizes = [_sizes(process) for process in processes]
    resident = sum(held for _, held in sizes)
    if len(processes) > 1:  # forked from one another, they share most of it; to find out how much takes longer
        resident = sum(_share(process, held) for process, (_, held) in zip(processes, sizes, strict=True))
    return Usage(resident, sum(max(size - mapped_by_one, 0.0) for size, _ in sizes))


def threads(pid: int) -> int:
    return len(_list(PROC / str(pid) / "task"))


def descendants(pid: int) -> Iterator[int]:
    """Processes below ``pid``, parents first."""
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        yield from below
        waiting += below


def children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in _list(PROC / str(pid) / "task"):
        try:
            found += map(int, (PROC / str(pid) / "task" / thread / "children").read_text().split())
        except OSError:
            continue
    return found


def _sizes(pid: int) -> tuple[float, float]:
    """(address space, resident) of a process in MB; zero when it has gone."""
    try:
        pages = (PROC / str(pid) / "statm").read_text().split()
    except OSError:
        return 0.0, 0.0
    return int(pages[0]) * PAGE / 2**20, int(pages[1]) * PAGE / 2**20


def _share(pid: int, resident: float) -> float:
    """Resident memory of a process in MB, each page divided by the number of those who hold it."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return resident
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), resident)


def _list(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
