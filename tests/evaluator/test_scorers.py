"""Scorers: a process for each request, forked from one that stays; whatever dies, the next request is answered."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from evaluator import machine
from evaluator.device import environment
from evaluator.expectation import Expectation
from evaluator.grid import Cell, load_grid
from evaluator.launch import ScorerDied, Scorers, child_environment
from evaluator.messages import Request, Todo
from evaluator.repository import Repository
from evaluator.sandbox import warm_pycache
from evaluator.sandbox.watchdog import children
from tests.miniature import BYTECODE, ROOT, Miniature

CELL = Cell("digits-mlp", "one-shot", "unstructured", 1.0, 0)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(Miniature(tmp_path_factory.mktemp("scorers")).root)


@pytest.fixture(scope="module")
def scorers() -> Iterator[Scorers]:
    with Scorers(child_environment(warm_pycache(BYTECODE))) as opened:
        yield opened


def request_of(repository: Repository, variants: int = 1) -> Request:
    """The dense control, asked for under so many seeds."""
    expectation = Expectation(repository, load_grid(repository.grid))
    cells = [CELL._replace(seed=seed) for seed in range(variants)]
    todo = [Todo(cell=c, inputs=expectation.inputs(None, c), outcome=None, variants=("dense",)) for c in cells]
    return Request(root=repository.root, benchmark=CELL.benchmark, recipe=None, device="cpu", todo=todo, known={})


def parent_of(scorers: Scorers) -> int:
    assert scorers._process is not None
    return scorers._process.pid


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_requests_share_a_parent_and_nothing_else(scorers: Scorers, repository: Repository) -> None:
    request = request_of(repository)
    first, second = (list(scorers.score(request)) for _ in range(2))
    assert [(reply.status, reply.variant) for reply in first] == [("ok", "dense")]
    assert first[0].measurement is not None
    assert first[0].measurement.after == second[0].measurement.after  # type: ignore[union-attr]
    before = parent_of(scorers)
    list(scorers.score(request))
    assert parent_of(scorers) == before
    assert children(before) == []


def test_one_that_is_killed_costs_its_own_request_only(scorers: Scorers, repository: Repository) -> None:
    list(scorers.score(request_of(repository)))
    parent = parent_of(scorers)
    replies = scorers.score(request_of(repository, variants=2))
    next(replies)
    (child,) = children(parent)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(ScorerDied, match="code -9"):
        list(replies)
    assert [reply.status for reply in scorers.score(request_of(repository))] == ["ok"]
    assert parent_of(scorers) == parent


def test_an_error_of_ours_is_told_by_its_last_line(scorers: Scorers, repository: Repository) -> None:
    request = request_of(repository).model_copy(update={"benchmark": "no-such"})
    with pytest.raises(ScorerDied, match="no-such"):
        list(scorers.score(request))
    assert [reply.status for reply in scorers.score(request_of(repository))] == ["ok"]


def test_a_parent_that_is_killed_is_followed_by_another(scorers: Scorers, repository: Repository) -> None:
    list(scorers.score(request_of(repository)))
    parent = parent_of(scorers)
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(ScorerDied):
        list(scorers.score(request_of(repository)))
    assert [reply.status for reply in scorers.score(request_of(repository))] == ["ok"]
    assert parent_of(scorers) != parent


def test_who_stops_listening_leaves_nothing_running(scorers: Scorers, repository: Repository) -> None:
    replies = scorers.score(request_of(repository, variants=2))
    next(replies)
    parent = parent_of(scorers)
    working = [parent, *children(parent)]
    assert len(working) == 2
    replies.close()  # type: ignore[attr-defined]
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working))


def test_all_end_with_the_coordinator(repository: Repository) -> None:
    code = f"""
import sys
from pathlib import Path
from evaluator.launch import Scorers, child_environment
from evaluator.messages import Request
with Scorers(child_environment(Path({str(warm_pycache(BYTECODE))!r}))) as scorers:
    for reply in scorers.score(Request.model_validate_json(sys.argv[1])):
        print(scorers._process.pid, flush=True)
"""
    request = request_of(repository, variants=2).model_dump_json()
    coordinator = subprocess.Popen([sys.executable, "-c", code, request], stdout=subprocess.PIPE, cwd=ROOT)
    assert coordinator.stdout is not None
    parent = int(coordinator.stdout.readline())
    working = [parent, *children(parent)]
    coordinator.kill()
    coordinator.wait()
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working))


def test_the_machine_is_the_same_without_pytorch() -> None:
    assert machine.environment() == environment(torch.device("cpu"))
    assert torch.__version__.split("+")[0] == importlib.metadata.version("torch").split("+")[0]


@pytest.mark.parametrize(("node", "found"), [("nvidiactl", True), ("nvidia0", True), ("dxg", True), ("null", False)])
def test_a_gpu_is_looked_for_where_there_may_be_one(node: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / node).touch()
    (tmp_path / "tty").touch()
    assert machine.may_have_gpu(tmp_path) is found
