"""What a task uses, looked at from outside through /proc: nothing that runs inside can change what is read here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evaluator.grid import Limits
from evaluator.records import Status

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
MAPPED_FACTOR = 4
"""Shared memory can be hidden from the resident sizes; what is mapped cannot. It may be this many times the limit."""


class Usage(NamedTuple):
    """Sums over the processes below one: their number with all threads, and memory in MB."""

    threads: int
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
        usage = measure(self.pid, self._mapped_by_one)
        if usage.threads:
            self.peak_mb = max(self.peak_mb or 0.0, usage.resident_mb)
        if usage.threads > limits.processes:
            return "method_error", f"more than the limit of {limits.processes} processes and threads"
        if usage.resident_mb > limits.memory_mb or usage.mapped_mb > MAPPED_FACTOR * limits.memory_mb:
            return "out_of_memory", f"more than the limit of {limits.memory_mb} MB of memory"
        return None


def measure(pid: int, mapped_by_one: float = 0.0) -> Usage:
    """Usage of all descendants of ``pid``; ``mapped_by_one`` MB of address space are every process's own from the start."""
    threads, resident, mapped = 0, 0.0, 0.0
    for process in descendants(pid):
        size, held = _sizes(process)
        threads += max(len(_list(PROC / str(process) / "task")), 1)
        resident += held
        mapped += max(size - mapped_by_one, 0.0)
    return Usage(threads, resident, mapped)


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


def _list(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
