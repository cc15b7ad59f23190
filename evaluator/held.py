"""Locks that go with the process which holds them, and passing folders under such a lock: what a kill left can be told."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

LOCK = ".held"
INNER = "work"


def take(file: IO[Any]) -> bool:
    """Whether the lock on an open file is ours now: until it is closed, or the process has ended in whatever way."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder below ``parent``, gone at the end. First goes what killed processes left there of such folders.

    Args:
        prefix: of the name in ``parent`` under which it is found.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    new = folder / f"{LOCK}.new"
    with new.open("x") as lock:
        take(lock)
        new.rename(folder / LOCK)  # held already when others see it
        try:
            (folder / INNER).mkdir()
            yield folder / INNER
        finally:
            _remove(folder)


def _sweep(parent: Path, prefix: str) -> None:
    for folder in parent.iterdir():
        if not folder.name.startswith(prefix) or folder.is_symlink():
            continue
        try:
            with (folder / LOCK).open("r+") as lock:
                if take(lock):
                    _remove(folder)
        except OSError:  # not such a folder, or gone meanwhile
            continue


def _remove(folder: Path) -> None:
    shutil.rmtree(folder / INNER, ignore_errors=True)  # before the lock, without which nobody would sweep the rest
    shutil.rmtree(folder, ignore_errors=True)
