"""What goes into a sandbox and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluator.grid import Dataset, Limits
from evaluator.metadata import Submission
from evaluator.records import Status

Kind = Literal["bubblewrap", "none"]

CLAIMS: tuple[Status, ...] = ("ok", "invalid_output", "method_error", "out_of_memory")
"""What a sandbox may say of a task; the rest is said from outside."""


@dataclass(frozen=True)
class Task:
    """One cell to prune; plain values, since it crosses the wall as JSON.

    Args:
        number: index of the cell in its group; names the artifact.
        architecture: as in ``evaluator.networks``.
        keep: how many prunable weights the outcome must keep.
        seed: of the method's randomness.
        base: name of the base model among the spec's ``bases``.
    """

    number: int
    architecture: str
    keep: int
    seed: int
    base: str


@dataclass(frozen=True)
class Spec:
    """Everything that a sandbox can see.

    Args:
        visible: folder with ``train.safetensors`` and ``validation.safetensors``, and a link ``pictures`` to those that are
            decoded on demand; nothing else in it is shown.
        bases: name -> file of a base model.
        pycache: bytecode made by ``warm_pycache``, shown read-only.
        device: ``"cpu"``, or ``"cuda"`` to show the graphics devices as well.
    """

    submission: Submission
    dataset: Dataset
    visible: Path
    bases: Mapping[str, Path]
    limits: Limits
    pycache: Path
    device: str = "cpu"


@dataclass(frozen=True)
class Outcome:
    """How one task ended, as seen from outside.

    Args:
        reason: one line for people; None when the status is ``ok``.
        log: the end of what the method printed, at most 8 kB of plain text without paths of this machine.
        seconds: wall time of the task alone, without the start of the sandbox.
        memory_mb: the most that the processes of the task held in memory at once; None if they ended too soon to look.
        artifact: a private copy of the output, not yet parsed; a regular file within the size limit. None on failure.
    """

    status: Status
    reason: str | None
    log: str
    seconds: float
    memory_mb: float | None
    artifact: Path | None
