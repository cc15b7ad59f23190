"""Where an evaluation runs: what all of its groups share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluator import machine
from evaluator.errors import EspalierError
from evaluator.grid import Grid, Limits
from evaluator.launch import Scorers, child_environment
from evaluator.records import Environment, Store
from evaluator.records.record import SandboxKind
from evaluator.repository import Repository
from evaluator.sandbox import available, require, warm_pycache


@dataclass(frozen=True)
class Setting:
    """Checkout, grid, sandbox and device of an evaluation.

    Args:
        environment: where it measures, sandbox included, as every record will say.
        pycache: compiled bytecode for the child processes, which may not write it themselves.
        device: ``cpu`` or ``cuda``.
        reuse: stores whose measurements stand for any artifact of the same score key.
        afresh: prune again from the start, even where the outcome or a checkpoint is kept from before.
        resumable: keep checkpoints of the cells at work, so that a later run can go on from them.
        trial: the log of a method says what its author may not have meant.
        recipe: an alternative to the benchmarks' retraining recipes.
        gpus: how many there are; each worker takes one of them.
        gpu: the one that a worker has taken, as ``CUDA_VISIBLE_DEVICES`` names it.
    """

    repository: Repository
    grid: Grid
    environment: Environment
    pycache: Path
    device: str
    reuse: tuple[Store, ...] = ()
    afresh: bool = False
    resumable: bool = True
    trial: bool = False
    recipe: str | None = None
    gpus: int = 0
    gpu: str | None = None

    def of_worker(self, number: int) -> Setting:
        """The same for one of several workers, which share out the GPUs in turn."""
        if not self.gpus:
            return self
        named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        names = named or [str(index) for index in range(self.gpus)]
        return replace(self, gpu=names[number % len(names)])

    def scorers(self) -> Scorers:
        """For the groups of one worker."""
        return Scorers(child_environment(self.pycache, self.gpu))

    @property
    def sandbox(self) -> SandboxKind:
        return self.environment.sandbox

    def limits(self, benchmark: str) -> Limits:
        """What a sandbox may use for one cell of a benchmark."""
        return self.grid.tiers[self.grid.benchmarks[benchmark].tier].limits


def open_setting(
    repository: Repository,
    grid: Grid,
    *,
    device: str = "auto",
    sandbox: SandboxKind | None = None,
    reuse: Sequence[Store] = (),
    afresh: bool = False,
    recipe: str | None = None,
) -> Setting:
    """Find out where we are, and see to the bytecode for the processes to come.

    Raises:
        EspalierError: PyTorch cannot be imported.
        SandboxError: bubblewrap is asked for, and does not work here.
    """
    if sandbox == "bubblewrap":
        require()
    pycache = warm_pycache(repository.cache / "bytecode")
    found = _probe(device, pycache)
    environment = Environment(**found["environment"], sandbox=sandbox or available())
    return Setting(
        repository, grid, environment, pycache, found["device"], tuple(reuse), afresh, recipe=recipe, gpus=found["gpus"]
    )


def _probe(device: str, pycache: Path) -> dict[str, Any]:
    """The device chosen, how many GPUs there are, and the environment; PyTorch is imported only to look for a GPU."""
    if device == "cpu" or (device == "auto" and not machine.may_have_gpu()):
        return {"device": "cpu", "gpus": 0, "environment": machine.environment()}
    probe = subprocess.run(
        [sys.executable, "-P", "-m", "evaluator.device", device],
        env=child_environment(pycache),
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode != 0:
        lines = probe.stderr.strip().splitlines() or ["it said nothing"]
        raise EspalierError(
            f"PyTorch cannot be used here: {lines[-1]}",
            fix="--device cpu measures without a GPU; where the CPU fails too, install Espalier anew",
        )
    found: dict[str, Any] = json.loads(probe.stdout)
    return found
