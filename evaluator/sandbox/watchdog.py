"""What a task uses, looked at from outside through /proc: nothing that runs inside can change what is read here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from evaluator.grid import Limits
from evaluator.records import Status

PROC = Path("/proc")
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
MAPPED_FACTOR = 4
"""Shared memory can be hidden from the resident sizes; what is mapped cannot. It may be this many times the limit."""
LOOK_AGAIN_SECONDS = 0.25


class Watchdog:
    """Compares what the processes below ``pid`` use with the limits, and remembers the most memory seen.

    Args:
        maps_much: a GPU's driver maps far more than is used, so that what is mapped says nothing.
    """

    def __init__(self, pid: int, limits: Limits, *, maps_much: bool = False) -> None:
        self.pid = pid
        self.limits = limits
        self.maps_much = maps_much
        self.peak_mb: float | None = None
        self._mapped_by_one = _sizes(pid)[0]
        self._look_again = 0.0

    def violation(self, seconds: float) -> tuple[Status, str] | None:
        """Status and reason, if the task that has run for ``seconds`` uses more than it may."""
        limits = self.limits
        if seconds > limits.wall_seconds:
            computed = sum(map(processor_seconds, descendants(self.pid)))
            return (
                "timeout",
                f"ran longer than the limit of {limits.wall_seconds:g} s, {computed:.0f} s of them on a processor",
            )
        processes = few(self.pid, limits.processes)
        if processes is None:
            return "method_error", f"more than the limit of {limits.processes} processes and threads"
        sizes = [_sizes(process) for process in processes]
        mapped = sum(max(size - self._mapped_by_one, 0.0) for size, _ in sizes)
        resident = self._resident([held for _, held in sizes], processes)
        if resident:
            self.peak_mb = max(self.peak_mb or 0.0, resident)
        hides = mapped > MAPPED_FACTOR * limits.memory_mb and not self.maps_much
        if resident > limits.memory_mb or hides:
            return "out_of_memory", f"more than the limit of {limits.memory_mb} MB of memory"
        return None

    def _resident(self, held: Sequence[float], processes: Sequence[int]) -> float:
        """Memory in MB, shared pages counted once where that decides.

        Processes forked from one another share most of what they hold. To find out how much takes long, and a fork bomb
        grows meanwhile: so not every time.
        """
        total = sum(held)
        if len(processes) < 2 or total <= self.limits.memory_mb:
            return total
        if time.monotonic() < self._look_again:
            return 0.0
        total = sum(share(process) for process in processes)
        self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
        return total


def few(pid: int, limit: int) -> list[int] | None:
    """The processes below ``pid``; None when they and their threads are more than ``limit``. Does not count to the end."""
    found, number = [], 0
    for process in descendants(pid):
        found.append(process)
        number += max(len(_list(PROC / str(process) / "task")), 1)
        if number > limit:
            return None
    return found


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


def processor_seconds(pid: int) -> float:
    """For how long a process and its threads have computed: far less than it has run for where the machine was busy."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def share(pid: int) -> float:
    """Resident memory of a process in MB, each page divided by the number of those who hold it."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return _sizes(pid)[1]
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _list(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
