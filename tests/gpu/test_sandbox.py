"""A GPU inside the sandbox: it is there, memory that runs out is a record, and the worker lives on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.sandbox import Kind, Sandbox, open_sandbox, warm_pycache
from tests.miniature import BYTECODE
from tests.sandbox import arena

KINDS: list[Kind] = ["none", "bubblewrap"]
METHOD = """
import torch
from evaluator.contract import Job, Pruned, PruningMethod

class Method(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        assert job.device.type == "cuda"
        if job.keep % 2:
            torch.empty(1 << 42, device=job.device)
        (batch,) = job.train_batches(1, 64)
        _, gradients = job.loss_and_gradients(batch)
        return job.keep_highest({i: (w * gradients[i]).abs() for i, w in job.weights()})
"""


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    if request.param == "bubblewrap":
        request.getfixturevalue("bubblewrap")
    limits = arena.LIMITS.model_copy(update={"memory_mb": 8192, "wall_seconds": 60})
    spec = replace(arena.spec(arena.submission(METHOD), warm_pycache(BYTECODE), limits), device="cuda", gpu="0")
    with open_sandbox(spec, Path(tmp_path_factory.mktemp("sandbox")), request.param) as opened:
        yield opened


def test_a_method_computes_on_the_gpu(sandbox: Sandbox) -> None:
    found = sandbox.run(arena.task(2000))
    print(found)
    assert (found.status, found.reason) == ("ok", None)
    assert found.artifact is not None
    assert sandbox.run(arena.task(2000, number=1)).artifact.read_bytes() == found.artifact.read_bytes()  # type: ignore[union-attr]


def test_memory_that_runs_out_is_said_and_the_next_task_works(sandbox: Sandbox) -> None:
    found = sandbox.run(arena.task(2001, number=2))
    print(found)
    assert found.status == "out_of_memory"
    assert "the GPU has left" in str(found.reason)
    assert sandbox.run(arena.task(2000, number=3)).status == "ok"
