"""Wall time and peak memory of a command, with all processes that it starts."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

INTERVAL = 0.05
"""Seconds between two looks at the memory."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Measured(NamedTuple):
    """Wall seconds; peak memory in MB, what processes share counted for each of them; seconds of all processors."""

    seconds: float
    memory: float
    processors: float


def measure(command: list[str], folder: Path) -> Measured:
    """Run a command to its end. Raises CalledProcessError."""
    started, before, peak = time.perf_counter(), _used(), 0
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while True:
        try:
            process.wait(INTERVAL)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, _resident(process.pid))
    seconds = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(seconds, peak / 1e6, _used() - before)


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident(session: int) -> int:
    """Bytes in memory of every process of a session."""
    return sum(_of(entry.path, session) for entry in os.scandir("/proc") if entry.name.isdigit())


def _of(process: str, session: int) -> int:
    try:
        state = Path(process, "stat").read_text().rpartition(")")[2].split()
        return int(state[21]) * _PAGE if int(state[3]) == session else 0
    except OSError:  # it is over
        return 0
