"""Checkpoints on their way out of a sandbox and back into the next one, honest and hostile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from evaluator.checkpoint_files import NAMES, Checkpoint
from evaluator.checkpoints import Checkpoints
from evaluator.errors import ContractError
from evaluator.sandbox import Kind, Sandbox, collect, open_sandbox
from tests.sandbox import arena

KINDS: list[Kind] = ["bubblewrap", "none"]

METHOD = """
import os, time
from pathlib import Path
import torch
from evaluator.contract import Job, Pruned, PruningMethod

OUTPUT = Path("/espalier/output")

def saves(job):
    for step in range(6):
        name = ("first", "second", "third")[step % 3]
        assert job.checkpoints.save(name, {"x": torch.full((9,), step)}, {"step": str(step)})
        time.sleep(0.1)
    time.sleep(2)

def loads(job):
    for name in ("good", "damaged", "missing"):
        print(name, job.checkpoints.load(name))

def looks_around(job):
    mine = Path("/espalier/given")
    print(sorted(str(path.relative_to(mine)) for path in mine.rglob("*")))
    try:
        (mine / "new").touch()
        print("BREACH")
    except OSError:
        print("not to be written")

def floods(job):
    end = time.monotonic() + 2
    while time.monotonic() < end:
        job.checkpoints.save("same", {"x": torch.zeros(9)}, {})

def too_large(job):
    print(job.checkpoints.save("large", {"x": torch.zeros(1 << 20)}, {}), job.checkpoints.save("x", {}, {}))
    time.sleep(1)

def a_bit_too_large(job):
    print(job.checkpoints.save("large", {"x": torch.zeros(600_000)}, {}))
    time.sleep(1)

def pipe(job):
    os.mkfifo(OUTPUT / "checkpoint-x.safetensors")
    time.sleep(10)

def link(job):
    (OUTPUT / "checkpoint-x.safetensors").symlink_to("/espalier/submission/method.py")
    time.sleep(10)

def folder(job):
    (OUTPUT / "checkpoint-x.safetensors" / "y").mkdir(parents=True)
    time.sleep(10)

def unreadable(job):
    (OUTPUT / "checkpoint-x.safetensors").touch(0)
    time.sleep(10)

def bad_name(job):
    os.mkdir(os.fsencode(OUTPUT) + b"/checkpoint-X\\n\\xff.safetensors")
    time.sleep(10)

def climbs(job):
    (OUTPUT / "checkpoint-..").mkdir()
    (OUTPUT / "checkpoint-.." / "x.safetensors").write_text("x")
    (OUTPUT / "checkpoint-...safetensors").write_text("x")
    time.sleep(10)

def many(job):
    for number in range(10_000):
        (OUTPUT / f"checkpoint-{number}.safetensors").touch()
    time.sleep(10)

def trap(job):
    (OUTPUT / ".taken" / "x").mkdir(parents=True)
    job.checkpoints.save("x", {}, {})
    time.sleep(10)

def grows(job):
    with open(OUTPUT / "checkpoint-x.safetensors", "wb") as file:
        for _ in range(2 << 10):
            file.write(b"x" * (1 << 10))
            file.flush()
            time.sleep(0.0007)

def half(job):
    (OUTPUT / "checkpoint-x.safetensors").write_bytes(b"\\x50\\0\\0")
    time.sleep(1)

def bad_argument(job):
    job.checkpoints.save("../x", {}, {})

WAYS = [None, saves, loads, looks_around, floods, too_large, a_bit_too_large, pipe, link, folder, unreadable, bad_name,
        climbs, many, trap, grows, half, bad_argument]

class ManyWays(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        if job.keep < len(WAYS):
            WAYS[job.keep](job)
        return job.keep_highest({p: w.abs() for p, w in job.weights()})
"""
WAY = {name: number for number, name in enumerate(re.findall(r"^def (\w+)", METHOD, re.M), start=1)}


@contextmanager
def sandbox(tmp_path: Path, pycache: Path, kind: Kind = "bubblewrap", **shown: Path) -> Iterator[Sandbox]:
    spec = replace(arena.spec(arena.submission(METHOD), pycache), checkpoints=shown)
    with open_sandbox(spec, tmp_path / "scratch", kind) as opened:
        yield opened
    assert not arena.strays()


def run(opened: Sandbox, way: str, **more: Any) -> tuple[Any, list[Checkpoint]]:
    received: list[Checkpoint] = []
    task = replace(arena.task(WAY[way]), checkpoints="mine")
    return opened.run(task, received.append, **more), received


def honest(opened: Sandbox) -> bytes:
    outcome = opened.run(arena.task())
    assert outcome.artifact is not None, outcome
    return outcome.artifact.read_bytes()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "bubblewrap":
        request.getfixturevalue("bubblewrap")
    return request.param


def test_all_arrive_whole_and_the_last_of_a_name_wins(kind: Kind, tmp_path: Path, pycache: Path) -> None:
    with sandbox(tmp_path, pycache, kind) as opened:
        outcome, received = run(opened, "saves", spent=5.0)
    assert outcome.status == "ok", outcome
    last = {checkpoint.name: load(checkpoint.content)["x"].tolist() for checkpoint in received}
    assert last == {"first": [3] * 9, "second": [4] * 9, "third": [5] * 9}
    seconds = [checkpoint.seconds for checkpoint in received]
    assert seconds == sorted(seconds)
    assert 5 < seconds[0] < seconds[-1] < outcome.seconds < 12


def test_what_an_interrupted_run_left_is_found(kind: Kind, tmp_path: Path, pycache: Path) -> None:
    """Only by a task that is told of it."""
    content = save({"x": torch.ones(2)}, {"step": "7"})
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "good.safetensors").write_bytes(content)
    (mine / "damaged.safetensors").write_bytes(content[:-1])
    with sandbox(tmp_path, pycache, kind, mine=mine, gone=tmp_path / "gone") as opened:
        outcome, _ = run(opened, "loads")
        assert outcome.log.splitlines() == [
            "good ({'x': tensor([1., 1.])}, {'step': '7'})",
            "damaged None",
            "missing None",
        ]
        received: list[Checkpoint] = []
        for way, said in (("loads", "good None"), ("too_large", "False False")):
            assert opened.run(arena.task(WAY[way]), received.append).log.startswith(said)
        assert received == []


@pytest.mark.usefixtures("bubblewrap")
def test_another_task_does_not_see_them(tmp_path: Path, pycache: Path) -> None:
    """Each sees those of its own cell, to be read, and its own base model; also where new files are private."""
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir(0o700)
        (tmp_path / name / f"{name}.safetensors").touch(0o600)
    before = os.umask(0o077)
    try:
        with sandbox(tmp_path, pycache, mine=tmp_path / "mine", theirs=tmp_path / "theirs") as opened:
            found = {name: _seen(opened, name) for name in ("mine", "theirs", "of-nobody", None)}
    finally:
        os.umask(before)
    assert found == {
        "mine": ["base.safetensors", "checkpoints", "checkpoints/mine.safetensors"],
        "theirs": ["base.safetensors", "checkpoints", "checkpoints/theirs.safetensors"],
        "of-nobody": ["base.safetensors"],
        None: ["base.safetensors"],
    }


def _seen(opened: Sandbox, checkpoints: str | None) -> list[str]:
    outcome = opened.run(replace(arena.task(WAY["looks_around"]), checkpoints=checkpoints))
    assert outcome.status == "ok", outcome
    files, writing = outcome.log.splitlines()
    assert writing == "not to be written"
    return re.findall(r"'(.*?)'", files)


HOSTILE: Mapping[str, tuple[str, str, int]] = {
    "floods": ("ok", "", 5),
    "too_large": ("ok", "", 1),
    "a_bit_too_large": ("ok", "", 0),
    "grows": ("ok", "", 4),
    "half": ("ok", "", 1),
    "pipe": ("method_error", "not a plain file", 0),
    "link": ("method_error", "poses as a checkpoint", 0),
    "folder": ("method_error", "not a plain file", 0),
    "unreadable": ("method_error", "poses as a checkpoint", 0),
    "bad_name": ("method_error", "no name for one", 0),
    "climbs": ("method_error", "no name for one", 0),
    "trap": ("method_error", "poses as a checkpoint", 0),
    "many": ("method_error", "limit of 1000 files", 3),
    "bad_argument": ("method_error", "cannot be the name of a checkpoint", 0),
}
"""Status, reason, and how many checkpoints come out at most."""


@pytest.fixture(scope="module")
def box(bubblewrap: None, pycache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("hostile"), pycache) as opened:
        yield opened


@pytest.mark.parametrize("way", HOSTILE)
def test_hostile_checkpoints_are_contained(way: str, box: Sandbox) -> None:
    """The right status, no flood, and the next task as if nothing had been."""
    expected = honest(box)
    outcome, received = run(box, way)
    status, reason, most = HOSTILE[way]
    assert (outcome.status, bool(re.search(reason, outcome.reason or ""))) == (status, True), outcome
    assert outcome.seconds < 8
    assert len(received) <= most
    assert all(len(checkpoint.content) <= arena.LIMITS.output_mb << 20 for checkpoint in received)
    assert honest(box) == expected


def test_no_room_is_told(box: Sandbox) -> None:
    """And ends nothing."""
    outcome, received = run(box, "too_large")
    assert (outcome.status, outcome.log) == ("ok", "False True")
    assert [checkpoint.name for checkpoint in received] == ["x"]


def test_names_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the 64th name is removed; a name that was there before still counts."""
    monkeypatch.setattr(collect, "PAUSE_SECONDS", 0.0)
    sent = []
    collector = collect.Collector(str(tmp_path), 1, lambda message, content: sent.append((message["name"], content)))
    for number in range(NAMES + 6):
        path = tmp_path / f"checkpoint-{number}.safetensors"
        path.write_text("x")
        os.utime(path, (number, number))
    for _ in range(NAMES + 1):
        assert collector.look() is None
    assert [name for name, _ in sent] == [str(number) for number in range(NAMES)]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "checkpoint-7.safetensors").write_text("y")
    assert collector.look() is None
    assert sent[-1] == ("7", b"y")


def test_saved_and_loaded(tmp_path: Path) -> None:
    """Tensors that share memory, or lie in it out of order, come back equal; nothing else stays in the folder."""
    whole = torch.arange(6.0).reshape(2, 3)
    tensors = {"whole": whole, "turned": whole.T, "part": whole[0], "one": torch.tensor(3), "none": torch.zeros(0)}
    checkpoints = Checkpoints(tmp_path, tmp_path)
    assert checkpoints.save("a-1", tensors, {"epoch": "3"})
    [path] = tmp_path.iterdir()
    path.rename(tmp_path / "a-1.safetensors")
    found = checkpoints.load("a-1")
    assert found is not None
    assert all(torch.equal(found[0][name], tensor) for name, tensor in tensors.items())
    assert found[1] == {"epoch": "3"}


def test_nothing_without_folders() -> None:
    assert not Checkpoints().save("a", {"x": torch.ones(1)}, {})
    assert Checkpoints().load("a") is None


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a\n", "a" * 41, "é"])
def test_names(name: str) -> None:
    for use in (lambda: Checkpoints().save(name, {}, {}), lambda: Checkpoints().load(name)):
        with pytest.raises(ContractError, match="name of a checkpoint"):
            use()
