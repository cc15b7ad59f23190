"""What tests of the sandbox share: a spec on the embedded digits, an honest method, and a look at what is left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evaluator.admission import Form
from evaluator.base_files import initial_seed
from evaluator.data import prepare
from evaluator.grid import Grid, Limits, load_grid
from evaluator.metadata import Metadata, Submission
from evaluator.networks import architecture, prunable_layers
from evaluator.repository import Repository
from evaluator.sandbox import Spec, Task

ROOT = Path(__file__).parents[2]
LIMITS = Limits(wall_seconds=30, memory_mb=1000, processes=24, output_mb=2)
HONEST, HOSTILE = 2000, 2001
"""Targets: the methods under tests/attacks behave when it is even."""

MAGNITUDE = """
from evaluator.contract import Job, Pruned, PruningMethod

class Magnitude(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
"""


def grid() -> Grid:
    return load_grid(Repository(ROOT).grid)


def submission(code: str = MAGNITUDE, **changes: Any) -> Submission:
    """A submission with ``code``; ``changes`` are fields of its metadata."""
    fields: dict[str, Any] = {
        "contract": 1,
        "slug": "under-test",
        "title": "Under test",
        "summary": "A method that exists in a test only.",
        "authors": ["A. Tester"],
        "year": 2024,
        "paper": {"title": "None", "url": "https://example.org"},
        "licence": "MIT",
        "division": "unstructured",
        "stage": "after",
        "facets": {"criterion": "magnitude", "scope": "global", "data_use": "none", "supervision": "none"},
        "needs": {"data": True, "labels": True, "gradients": True},
    }
    return Submission(folder=ROOT / "nowhere", metadata=Metadata.model_validate({**fields, **changes}), code=code)


def spec(of: Submission, pycache: Path, limits: Limits = LIMITS) -> Spec:
    """``of`` on digits-mlp with its committed base models."""
    dataset = grid().datasets["digits"]
    bases = Repository(ROOT).bases / "digits-mlp"
    return Spec(
        submission=of,
        dataset=dataset,
        visible=prepare("digits", dataset).visible,
        bases={f"seed{seed}": bases / f"seed{seed}.safetensors" for seed in (0, 1, 2)},
        limits=limits,
        pycache=pycache,
    )


def task(keep: int = HONEST, seed: int = 0, number: int = 0) -> Task:
    initial = initial_seed("digits-mlp", seed)
    return Task(number=number, architecture="digits-mlp", keep=keep, seed=seed, initial=initial, base=f"seed{seed}")


def form() -> Form:
    """What admission expects of digits-mlp."""
    kind = architecture("digits-mlp")
    found = prunable_layers(kind.build(), kind.classifier)
    return Form([(position, tuple(module.weight.shape)) for position, (_, module) in enumerate(found)])


def strays() -> list[str]:
    """Processes of a sandbox that nobody looks after any more."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if "sandbox/child.py" in command and parent in (0, 1) and int(entry.name) != os.getpid():
            found.append(f"{entry.name}: {command}")
    return found
