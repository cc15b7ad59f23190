"""Where things lie for the child: under fixed neutral paths in bubblewrap, where they are on this machine without it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluator
from evaluator.sandbox.spec import Spec

PACKAGE = Path(evaluator.__file__).resolve().parent
MEGABYTE = 1 << 20
SCRATCH_MB = 64
"""Size of /tmp and of /dev/shm, each."""


@dataclass(frozen=True)
class Layout:
    """Paths as the child sees them.

    Args:
        code: folder that holds the package ``evaluator``.
        method: the submission's ``method.py``.
        data: folder with the train and validation arrays.
        bases: folder with the base models, named as in the spec.
        output: folder for the artifact, the only place besides ``scratch`` that can be written.
        scratch: folders emptied after each task.
    """

    code: Path
    method: Path
    data: Path
    bases: Path
    output: Path
    scratch: tuple[Path, ...]
    pycache: Path


def python_path() -> list[str]:
    """Folders with installed packages. The checkout and whatever else is on ``sys.path`` are not for the child."""
    folders = (entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
    return [entry for entry in folders if Path(entry).is_dir()]


def python_command(layout: Layout) -> list[str]:
    """The interpreter with a controlled path: nothing from the environment, no ``site``, no .pth files."""
    child = layout.code / "evaluator" / "sandbox" / "child.py"
    return [sys.executable, "-P", "-s", "-S", "-B", "-X", f"pycache_prefix={layout.pycache}", str(child)]


def environment(scratch: Path) -> dict[str, str]:
    """The whole environment of the child: nothing of ours, one thread, no hash randomisation."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    places = {"HOME": str(scratch), "TMPDIR": str(scratch), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return {**places, **threads, "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def configuration(spec: Spec, layout: Layout, *, uid: int | None) -> dict[str, Any]:
    """What the child is told on its first line; ``uid`` is whom to become, where it starts as root."""
    metadata = spec.submission.metadata
    return {
        "path": [str(layout.code), *python_path()],
        "method": str(layout.method),
        "output": str(layout.output),
        "scratch": [str(folder) for folder in layout.scratch],
        "data": str(layout.data),
        "bases": {name: str(layout.bases / f"{name}.safetensors") for name in spec.bases},
        "dataset": spec.dataset.model_dump(mode="json"),
        "needs": metadata.needs.model_dump(mode="json"),
        "hyperparameters": metadata.hyperparameters,
        "limits": spec.limits.model_dump(mode="json"),
        "device": spec.device,
        "uid": uid,
    }


def stage(spec: Spec, folder: Path) -> Path:
    """Write the code that was read (and digested) to ``folder``: what runs is what was read, whatever is on disk now."""
    folder.mkdir(parents=True)
    method = folder / "method.py"
    method.write_text(spec.submission.code, encoding="utf-8")
    method.chmod(0o644)
    return method


def private_paths() -> list[str]:
    """Paths of this machine that a published log must not show; longest first."""
    named = {sys.prefix, sys.base_prefix, str(PACKAGE.parent), str(Path.home()), *python_path()}
    private = [name for name in named if len(Path(name).parts) > 2 or name == str(Path.home())]
    return sorted((n for n in private if n != "/" and not n.startswith("/usr")), key=len, reverse=True)


def readable(path: Path, folder: Path) -> Path:
    """``path``, or a copy of it in ``folder`` where only root could read it and the child is not root."""
    if os.geteuid() != 0 or path.stat().st_mode & 0o004:
        return path
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o644)
    return copy
