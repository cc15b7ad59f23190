"""A cell that is killed in the middle of long work goes on from its checkpoint, and comes out as if it had not been."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from evaluator.checkpoint_files import NAMES, Checkpoint, Unfinished
from evaluator.grid import Limits
from evaluator.records import Environment
from evaluator.repository import Repository
from tests.evaluator.figures import figures
from tests.miniature import Miniature

STEPS = 12

ADDS_UP = f"""import time, torch
        found = job.checkpoints.load("sum")
        start = int(found[1]["step"]) if found else 0
        sums = {{i: torch.zeros_like(w) for i, w in job.weights()}}
        if found:
            sums = {{i: found[0][str(i)] for i in sums}}
            job.generator.set_state(found[0]["generator"])
        print("from", start)
        for step in range(start, {STEPS}):
            sums = {{i: s + torch.rand(s.shape, generator=job.generator) for i, s in sums.items()}}
            tensors = {{str(i): s for i, s in sums.items()}} | {{"generator": job.generator.get_state()}}
            job.checkpoints.save("sum", tensors, {{"step": str(step + 1)}})
            time.sleep(0.25)
        return job.keep_highest(sums)"""
"""Random numbers, step by step, whose state is saved: what is kept depends on every one of them."""


WITHOUT_SLEEP = ADDS_UP.replace("import time, ", "import ").replace("time.sleep(0.25)", "sum(range(4_000_000))")
"""As a contributor may write it."""


def miniature(root: Path, body: str = ADDS_UP) -> Miniature:
    """One cell."""
    mini = Miniature(root)
    benchmarks = mini.read("benchmarks")
    mini.write("benchmarks", {"digits-mlp": benchmarks["digits-mlp"] | {"seeds": [0], "targets": {"unstructured": [8]}}})
    mini.submit("adds-up", body)
    return mini


def checkpoints(mini: Miniature) -> list[Path]:
    return sorted((mini.root / ".espalier" / "checkpoints").rglob("*.safetensors"))


def kill_when_saved(mini: Miniature, *arguments: str) -> float:
    """Kill the coordinator a while after the first checkpoint; returns the seconds that the mark tells."""
    process = subprocess.Popen(
        mini.command("evaluate", *arguments),
        cwd=mini.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not checkpoints(mini) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.6)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    [path] = checkpoints(mini)
    mark = path.parent.with_suffix(".json").read_text()
    return float(re.findall(r'"seconds":([\d.]+)', mark)[0])


def method(mini: Miniature) -> dict[str, Any]:
    [record] = [record for record in mini.records() if record["variant"] == "method" and record["submission"] == "adds-up"]
    return record


def start(mini: Miniature) -> int:
    """From which step the run went on that was recorded."""
    return int(re.findall(r"from (\d+)", method(mini)["log"])[0])


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """Evaluated without interruption, and without a sandbox."""
    mini = miniature(tmp_path_factory.mktemp("calm"))
    mini.run("evaluate", "--sandbox", "none")
    return mini


@pytest.mark.usefixtures("bubblewrap")
def test_killed_in_the_middle(calm: Miniature, tmp_path: Path) -> None:
    """Same outcome, the cost of both runs, and nothing left behind."""
    mini = miniature(tmp_path)
    spent = kill_when_saved(mini)
    mini.run("evaluate")
    assert 0 < start(mini) < STEPS
    assert start(calm) == 0
    assert figures(mini.records()) == figures(calm.records())
    rest = 0.25 * (STEPS - start(mini))
    assert spent + rest < method(mini)["cost"]["pruning_seconds"] < spent + rest + 10
    for each in (mini, calm):
        assert list((each.root / ".espalier" / "checkpoints").iterdir()) == []


@pytest.mark.usefixtures("bubblewrap")
def test_force_starts_from_the_beginning(tmp_path: Path) -> None:
    """It keeps checkpoints, but goes on from none."""
    mini = miniature(tmp_path)
    kill_when_saved(mini, "--force")
    mini.run("evaluate", "--force")
    assert start(mini) == 0
    assert list((mini.root / ".espalier" / "checkpoints").iterdir()) == []


@pytest.mark.usefixtures("bubblewrap")
def test_a_failure_leaves_none(tmp_path: Path) -> None:
    """It is as final as an outcome."""
    mini = miniature(tmp_path, f"{ADDS_UP}[None]")
    mini.run("evaluate")
    assert method(mini)["status"] == "method_error"
    assert list((mini.root / ".espalier" / "checkpoints").iterdir()) == []


@pytest.mark.usefixtures("bubblewrap")
def test_smoke_keeps_none(tmp_path: Path) -> None:
    mini = miniature(tmp_path, WITHOUT_SLEEP)
    assert mini.json("smoke", "adds-up")["ok"]
    assert not (mini.root / ".espalier" / "checkpoints").exists()


HERE = Environment(device_class="cpu", device="x", torch="2", python="3", platform="x", espalier="0", sandbox="none")
LIMITS = Limits(wall_seconds=30, memory_mb=1000, processes=24, output_mb=2)


def kept(root: Path, environment: Environment = HERE, limits: Limits = LIMITS) -> Unfinished:
    return Unfinished(Repository(root), "key", environment, limits)


def test_the_last_of_a_name_is_kept_with_its_time(tmp_path: Path) -> None:
    unfinished = kept(tmp_path)
    assert unfinished.resume() == 0
    for seconds, content in ((3, b"old"), (5, b"new")):
        unfinished.keep(Checkpoint("a", content, seconds))
    assert kept(tmp_path).resume() == 5
    assert [(path.name, path.read_bytes()) for path in unfinished.folder.iterdir()] == [("a.safetensors", b"new")]
    unfinished.discard()
    assert kept(tmp_path).resume() == 0
    assert list(unfinished.folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "limits"),
    [(HERE.model_copy(update={"torch": "3"}), LIMITS), (HERE, LIMITS.model_copy(update={"memory_mb": 1}))],
)
def test_made_elsewhere_counts_for_nothing(environment: Environment, limits: Limits, tmp_path: Path) -> None:
    """No outcome is a mixture of two environments."""
    kept(tmp_path).keep(Checkpoint("a", b"", 3))
    assert kept(tmp_path, environment, limits).resume() == 0
    assert not kept(tmp_path).folder.exists()


def test_what_a_kill_in_the_middle_of_writing_left_goes(tmp_path: Path) -> None:
    unfinished = kept(tmp_path)
    unfinished.keep(Checkpoint("a", b"", 3))
    (unfinished.folder / ".b.safetensors.1.part").touch()
    unfinished.resume()
    assert [path.name for path in unfinished.folder.iterdir()] == ["a.safetensors"]


def test_a_damaged_mark_counts_for_nothing(tmp_path: Path) -> None:
    unfinished = kept(tmp_path)
    unfinished.keep(Checkpoint("a", b"", 3))
    unfinished.folder.with_suffix(".json").write_text("{")
    assert unfinished.resume() == 0
    assert not unfinished.folder.exists()


def test_names_do_not_pile_up_over_many_runs(tmp_path: Path) -> None:
    unfinished = kept(tmp_path)
    for number in range(NAMES + 2):
        unfinished.keep(Checkpoint(str(number), b"", 1))
    unfinished.keep(Checkpoint("0", b"new", 1))
    assert len(list(unfinished.folder.iterdir())) == NAMES
    assert (unfinished.folder / "0.safetensors").read_bytes() == b"new"
