"""Wall time and peak memory of a command, with all processes that it starts."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

INTERVAL = 0.05
"""Seconds between two looks at the memory."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """(wall seconds, peak memory in MB, what processes share counted for each of them). Raises CalledProcessError."""
    started, peak = time.perf_counter(), 0
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
    return seconds, peak / 1e6


def _resident(session: int) -> int:
    """Bytes in memory of every process of a session."""
    return sum(_of(entry.path, session) for entry in os.scandir("/proc") if entry.name.isdigit())


def _of(process: str, session: int) -> int:
    try:
        state = Path(process, "stat").read_text().rpartition(")")[2].split()
        return int(state[21]) * _PAGE if int(state[3]) == session else 0
    except OSError:  # it is over
        return 0
