"""What a task leaves behind, in the child that serves: files and processes. Also used while a task runs, to count files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

FILES = 1000
"""How many files may lie in the folders that a task can write to."""


def crowded(folders: Iterable[str]) -> str | None:
    """Why the task has to stop, if there are too many files; counted only where each folder is a mount of its own."""
    for folder in folders:
        if os.path.ismount(folder):
            counts = os.statvfs(folder)
            if counts.f_files - counts.f_ffree > FILES:
                return f"more than the limit of {FILES} files in {folder}"
    return None


def clear(folders: Iterable[str]) -> bool:
    """Empty the folders; False where that fails, so that a fresh sandbox has to take over."""
    try:
        for folder in folders:
            _empty(folder)
    except (OSError, RecursionError):
        return False
    return True


def _empty(folder: str) -> None:
    for path in list(Path(folder).iterdir()):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            shutil.rmtree(path)
        else:
            path.unlink()
    if sys.platform == "linux" and Path(folder).stat().st_uid == os.getuid():  # else it cannot bear marks of a task
        Path(folder).chmod(0o700)
        os.utime(folder, (0, 0))
        for name in os.listxattr(folder):
            os.removexattr(folder, name)


def end_all_others() -> None:
    """Kill every process but this one (PID 1 of its name space) or, without a name space, all its descendants."""
    while True:
        _kill_all()
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _kill_all() -> None:
    if os.getpid() == 1:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        from evaluator.sandbox.watchdog import descendants

        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
