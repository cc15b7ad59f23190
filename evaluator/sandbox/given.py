"""What a task is given beside what all tasks see: its own base model, and what an interrupted run of its own cell left.

Both are copies in a folder that is filled anew for each task, so that none sees another's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from evaluator.checkpoint_files import SUFFIX
from evaluator.errors import SandboxError
from evaluator.sandbox.spec import Spec, Task

BASE = "base.safetensors"
CHECKPOINTS = "checkpoints"


def given_folder(home: Path) -> Path:
    """An empty one below ``home``."""
    folder = home / "given"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # the child may be another user
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder


def give(task: Task, spec: Spec, home: Path) -> None:
    """Fill the folder for a task.

    Raises:
        SandboxError: a file cannot be copied.
    """
    try:
        folder = given_folder(home)
        if task.base is not None:
            _copy(spec.bases[task.base], folder / BASE)
        left = spec.checkpoints.get(task.checkpoints) if task.checkpoints else None
        if left is not None and left.is_dir():
            (folder / CHECKPOINTS).mkdir()
            (folder / CHECKPOINTS).chmod(0o755)
            for path in left.glob(f"*{SUFFIX}"):
                _copy(path, folder / CHECKPOINTS / path.name)
    except OSError as error:
        raise SandboxError(f"a task's files cannot be shown to it: {error}", fix="look for room on the disk") from None


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o644)
