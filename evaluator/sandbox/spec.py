"""What goes into a sandbox and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.grid import Dataset, Limits
from evaluator.metadata import Submission
from evaluator.records import Status
from evaluator.records.record import SandboxKind

Kind = SandboxKind

CLAIMS: tuple[Status, ...] = ("ok", "invalid_output", "method_error", "out_of_memory")
"""What a sandbox may say of a task; the rest is said from outside."""


@dataclass(frozen=True)
class Allowance:
    """What a method may train.

    Args:
        recipe: of the track, as its fields.
        epochs: the most that it gets.
        continuous: the recipe's schedule spans all of its training, instead of each call.
        memory_format: as in the grid.
    """

    recipe: Mapping[str, Any]
    epochs: int
    continuous: bool
    memory_format: str


@dataclass(frozen=True)
class Task:
    """One cell to prune; plain values, since it crosses the wall as JSON.

    Args:
        number: index of the cell in its group; names the artifact.
        architecture: as in ``evaluator.networks``.
        seed: of the method's randomness and of the order of images.
        initial: seed of the initial weights.
        base: name of the base model among the spec's ``bases``; None to start from the initial weights.
        keep: how many prunable weights the outcome must keep, where the target is a compression.
        speedup: the target where channels are removed.
        pattern: (n, m) where n of every m neighbours are kept.
        checkpoints: name of the cell's folder among the spec's ``checkpoints``; None: it neither finds nor makes any.
        trial: the log says what the method's author may not have meant.
    """

    number: int
    architecture: str
    seed: int
    initial: int
    base: str | None
    keep: int | None = None
    speedup: float | None = None
    pattern: tuple[int, int] | None = None
    training: Allowance | None = None
    checkpoints: str | None = None
    trial: bool = False


@dataclass(frozen=True)
class Spec:
    """Everything that a sandbox can see.

    Args:
        visible: folder with ``train.safetensors`` and ``validation.safetensors``, and a link ``pictures`` to those that are
            decoded on demand; nothing else in it is shown.
        bases: name -> file of a base model. Of these and of ``checkpoints`` a task sees its own alone.
        pycache: bytecode made by ``warm_pycache``, shown read-only.
        device: ``"cpu"``, or ``"cuda"`` to show the graphics devices as well.
        gpu: which of them CUDA is to use, as ``CUDA_VISIBLE_DEVICES`` names it; None: all.
        checkpoints: name -> folder of what an interrupted run left, shown where it is there when the task starts.
    """

    submission: Submission
    dataset: Dataset
    visible: Path
    bases: Mapping[str, Path]
    limits: Limits
    pycache: Path
    device: str = "cpu"
    gpu: str | None = None
    checkpoints: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How one task ended, as seen from outside.

    Args:
        reason: one line for people; None when the status is ``ok``.
        log: the end of what the method printed, at most 8 kB of plain text without paths of this machine.
        seconds: wall time of the task alone, without the start of the sandbox; with that of the run which it resumed.
        memory_mb: the most that the processes of the task held in memory at once; None if they ended too soon to look.
        epochs: of training by the method, as counted in the sandbox; more than it may is a failure.
        artifact: a private copy of the output, not yet parsed; a regular file within the size limit. None on failure.
    """

    status: Status
    reason: str | None
    log: str
    seconds: float
    memory_mb: float | None
    epochs: int
    artifact: Path | None
