"""Evaluations that are killed, stopped, or started twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.evaluator.figures import RANDOM, figures
from tests.miniature import MAGNITUDE, Miniature, begin

pytestmark = pytest.mark.usefixtures("bubblewrap")


def _kill_at_random(mini: Miniature, chance: random.Random) -> int | None:
    """Its exit code: a run that was over before is none that was killed."""
    nowhere = Path(os.devnull)
    process = begin(["evaluate", "--workers", chance.choice("12")], mini.root, os.environ, nowhere, nowhere)
    further = chance.randrange(4)  # not after some seconds only: a busy machine would always be starting
    aim = _done(mini) + further
    while process.is_alive() and _done(mini) < aim:
        time.sleep(0.03)
    time.sleep(chance.uniform(0, 0.2 if further else 3))
    process.kill()  # the coordinator alone: its children must notice
    process.join()
    return process.exitcode


def _done(mini: Miniature) -> int:
    """How many prunings and records there are."""
    state = mini.root / ".espalier"
    prunings = len(list((state / "prunings").rglob("*.json")))
    return prunings + sum(path.read_bytes().count(b"\n") for path in (state / "results").rglob("*.jsonl"))


def test_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Twenty times kill -9 at a random moment; the records are those of an uninterrupted run."""
    mini, calm = Miniature(tmp_path / "killed"), Miniature(tmp_path / "calm")
    for each in (mini, calm):
        benchmarks = each.read("benchmarks")
        benchmarks["digits-mlp"]["targets"] = {"unstructured": [2, 4, 8, 16]}
        each.write("benchmarks", benchmarks)
        for slug, body in (("largest", MAGNITUDE), ("chance", RANDOM)):
            each.submit(slug, f"import time; time.sleep(0.1); {body}")
    chance = random.Random(20260801)
    counts, ends = [], []
    for _ in range(20):
        ends.append(_kill_at_random(mini, chance))
        counts.append(len(mini.records()))
    assert counts == sorted(counts), "no record was lost"
    assert ends.count(-signal.SIGKILL) > 10, "most kills found it at work"
    calm.run("evaluate")
    mini.run("evaluate")
    assert figures(mini.records()) == figures(calm.records())
    assert len(mini.records()) == len(calm.records())
    assert _processes_in(mini.root) == []


def _processes_in(root: Path) -> list[str]:
    """Command lines of processes that still work for this checkout, given a moment to end."""
    for _ in range(50):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(root) in line:
                found.append(line)
        if not found:
            return []
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C, and what a system sends before it goes down
def test_a_signal_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    mini = Miniature(tmp_path)
    mini.submit("slow", "import time; time.sleep(50)")
    process = subprocess.Popen(
        mini.command("evaluate"), cwd=mini.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    while not mini.records() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "what is done is kept" in complaints
    assert "Traceback" not in complaints
    assert _processes_in(mini.root) == []


def test_two_evaluations_at_once_are_refused(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.submit("slow", "import time; time.sleep(50)")
    first = subprocess.Popen(mini.command("evaluate"), cwd=mini.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lock = mini.root / ".espalier" / "results" / ".lock"
        deadline = time.monotonic() + 60
        while not (lock.is_file() and lock.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        refused = mini.run("evaluate", code=1)
        assert f"another evaluation (process {first.pid})" in refused.stderr
    finally:
        first.kill()
        first.wait()
