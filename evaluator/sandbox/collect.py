"""What a task puts into its output folder, read by the child that serves: plain files of limited size, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from evaluator.checkpoint_files import NAME, NAMES, NEW, SUFFIX

PAUSE_SECONDS = 0.5
BYTES_PER_SECOND = 64 << 20
"""No task sends more checkpoints than that on average: the coordinator has to write them, and looks away meanwhile."""
TAKEN = ".taken"


class Report(NamedTuple):
    status: str
    reason: str | None = None
    epochs: int = 0


class Send(Protocol):
    def __call__(self, message: dict[str, Any], content: bytes) -> None: ...


class Collector:
    """Sends the checkpoints of one task on as they appear, slowly enough for whoever listens.

    Args:
        megabytes: what is larger is removed and not sent.
    """

    def __init__(self, folder: str, megabytes: int, send: Send) -> None:
        self._folder = Path(folder)
        self._megabytes = megabytes
        self._send = send
        self._names: set[str] = set()
        self._due = 0.0

    def look(self) -> str | None:
        """Send one on, if it is time; why the task has to stop, if something poses as a checkpoint."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + PAUSE_SECONDS
        try:
            name, content = self._next()
        except FileNotFoundError:  # replaced while we looked
            return None
        except OSError as error:
            return f"what poses as a checkpoint is none ({error.strerror})"
        if name:
            self._send({"event": "checkpoint", "name": name, "size": len(content)}, content)
            self._due = time.monotonic() + PAUSE_SECONDS + len(content) / BYTES_PER_SECOND
        return None

    def _next(self) -> tuple[str, bytes]:
        """Name and content of what has waited longest, so that none waits for ever; removes what is not to be sent."""
        with os.scandir(self._folder) as entries:
            waiting = [entry for entry in entries if entry.name.startswith(NEW) and entry.name.endswith(SUFFIX)]
        for entry in sorted(waiting, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns):
            name = entry.name.removeprefix(NEW).removesuffix(SUFFIX)
            if not NAME.fullmatch(name):
                raise OSError(errno.EINVAL, "no name for one")
            taken = self._folder / TAKEN
            os.replace(entry.path, taken)  # first: the task may put the next one in its place at any moment
            new = name not in self._names
            content = None if new and len(self._names) >= NAMES else read_plain(taken, self._megabytes)
            taken.unlink()
            if content is not None:
                self._names.add(name)
                return name, content
        return "", b""


def collect_artifact(path: Path, megabytes: int) -> tuple[Report, bytes]:
    try:
        content = read_plain(path, megabytes)
    except OSError as error:
        return Report("invalid_output", f"the output is missing or not a plain file ({error.strerror})"), b""
    if content is None:
        return Report("method_error", f"the output is larger than the limit of {megabytes} MB"), b""
    return Report("ok"), content


def read_plain(path: Path, megabytes: int) -> bytes | None:
    """The content of a plain file, None when it is larger than it may be; raises OSError for all else, without waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        if found.st_size > megabytes << 20:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)  # no more than was there: it may still grow
    finally:
        os.close(descriptor)
