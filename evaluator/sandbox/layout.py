"""Where things lie for the child: under fixed neutral paths in bubblewrap, where they are on this machine without it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluator
from evaluator.sandbox.spec import Spec
from evaluator.source import without_docstrings

PACKAGE = Path(evaluator.__file__).resolve().parent
SCRATCH_MB = 64
"""Size of /tmp and of /dev/shm, each."""


@dataclass(frozen=True)
class Layout:
    """Paths as the child sees them.

    Args:
        code: folder that holds the package ``evaluator``.
        output: folder for the artifact; it and ``scratch`` are all that can be written, and are emptied after each task.
        given: folder with what the task alone is given; see ``evaluator.sandbox.given``.
    """

    code: Path
    method: Path
    train: Path
    validation: Path
    given: Path
    output: Path
    scratch: tuple[Path, ...]
    pycache: Path


@dataclass(frozen=True)
class Launch:
    """How to start the child: the command (two descriptors are appended), its whole environment, its first line.

    Args:
        wrapped: the command is a wrapper, whose only child is the child that is meant.
    """

    command: list[str]
    environment: dict[str, str]
    configuration: dict[str, Any]
    wrapped: bool


def python_path() -> list[str]:
    """Folders with installed packages. The checkout and whatever else is on ``sys.path`` are not for the child."""
    folders = (entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
    return [entry for entry in folders if Path(entry).is_dir()]


def python_command(layout: Layout) -> list[str]:
    """The interpreter with a controlled path: nothing of the current folder, no ``site``, no .pth files."""
    child = layout.code / "evaluator" / "sandbox" / "child.py"
    return [sys.executable, "-P", "-s", "-S", "-B", "-X", f"pycache_prefix={layout.pycache}", str(child)]


def drivers() -> list[str]:
    """Folders with a GPU's driver that only ``LD_LIBRARY_PATH`` leads to, as in a container that was given a GPU."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [folder for folder in folders if Path(folder).is_absolute() and Path(folder, "libcuda.so.1").exists()]


def environment(home: Path, gpu: str | None = None, *, device: str = "cpu") -> dict[str, str]:
    """The whole environment of the child: nothing of ours, one thread, no hash randomisation; the GPU that it may use."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    places = {"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    places |= {"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}
    places |= {"LD_LIBRARY_PATH": ":".join(found)} if device != "cpu" and (found := drivers()) else {}
    # each thread would reserve an arena of 64 MB, which counts against the limit on address space
    return {**places, **threads, "MALLOC_ARENA_MAX": "2", "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def configuration(spec: Spec, layout: Layout, *, uid: int | None) -> dict[str, Any]:
    """What the child is told on its first line; ``uid`` is whom to become, where it starts as root."""
    metadata = spec.submission.metadata
    return {
        "path": [str(layout.code), *python_path()],
        "method": str(layout.method),
        "train": str(layout.train),
        "validation": str(layout.validation),
        "given": str(layout.given),
        "output": str(layout.output),
        "scratch": [str(folder) for folder in layout.scratch],
        "dataset": spec.dataset.model_dump(mode="json"),
        "needs": metadata.needs.model_dump(mode="json"),
        "hyperparameters": metadata.hyperparameters,
        "limits": spec.limits.model_dump(mode="json"),
        "device": spec.device,
        "uid": uid,
    }


def stage(spec: Spec, home: Path) -> Path:
    """Write the code as it was digested, without docstrings, below ``home``: it is what runs, whatever is on disk by now."""
    method = home / "method.py"
    method.write_text(without_docstrings(spec.submission.code), encoding="utf-8")
    method.chmod(0o644)
    return method


def private_paths() -> list[str]:
    """Paths of this machine that a published log must not show, longest first."""
    named = {sys.prefix, sys.base_prefix, str(PACKAGE.parent), str(Path.home()), *python_path()}
    return sorted((n for n in named if n != "/" and not n.startswith("/usr")), key=len, reverse=True)
