"""A sandbox as its user sees it: what a method gets, what it may say, and how each kind of end is told."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.admission import admit
from evaluator.errors import SandboxError
from evaluator.sandbox import Allowance, Kind, Outcome, Sandbox, Spec, available, bubblewrap, open_sandbox
from evaluator.sandbox.watchdog import descendants
from tests.sandbox import arena
from tests.sandbox.conftest import Opener

MANY_WAYS = """
import random, sys, time
import numpy as np
import torch
from evaluator.contract import Job, Pruned, PruningMethod

def random_scores(job):
    draw = lambda w: torch.rand(w.shape, generator=job.generator) + torch.rand(w.shape) + random.random() + np.random.rand()
    return job.keep_highest({p: draw(w) for p, w in job.weights()})

def gradient_scores(job):
    batch = next(job.train_batches(1, 64))
    loss, gradients = job.loss_and_gradients(batch)
    return job.keep_highest({p: (gradients[p] * w).abs() for p, w in job.weights()})

def masks(job):
    return {p: w.abs() > 0.05 for p, w in job.weights()}

class Own(Exception):
    pass

def deep(job):
    def inner():
        raise Own("two\\nlines")
    torch.nn.Module.apply(job.model, lambda _: inner())

def said(job):
    print("to stdout"); print("to stderr", file=sys.stderr)
    raise ValueError("after printing")

def leak(job):
    import os
    open("/tmp/left" if os.access("/tmp/", os.W_OK) else "left", "w").write("x")
    sys.modules["left"] = torch.zeros(1)
    torch.manual_seed(3); torch.set_default_dtype(torch.float64)
    torch.nn.Linear.forward = None
    Job.keep_highest = None
    return Pruned(masks(job))

WAYS = {
    1: random_scores,
    2: gradient_scores,
    3: lambda job: Pruned(masks(job)),
    4: deep,
    5: said,
    6: lambda job: None,
    7: lambda job: Pruned({0: masks(job)[0]}),
    8: lambda job: Pruned({**masks(job), 7: masks(job)[0]}),
    9: lambda job: Pruned(masks(job), {0: torch.zeros(3)}),
    10: lambda job: Pruned(masks(job), {p: w * 2 for p, w in job.weights()}),
    11: lambda job: torch.ones(1 << 40),
    12: lambda job: bytearray(1 << 40),
    13: lambda job: sys.exit("enough"),
    14: leak,
    15: lambda job: job.keep_highest({p: w * float("inf") for p, w in job.weights()}),
    16: lambda job: time.sleep(100),
    17: lambda job: Pruned({p: m.float() for p, m in masks(job).items()}),
    18: lambda job: print(self_check(job)) or Pruned(masks(job)),
}

def self_check(job):
    return [job.keep, torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), job.model.training,
            torch.backends.cpu.get_cpu_capability(), {"a", "b", "c"}]

class ManyWays(PruningMethod):
    answer: int
    def prune(self, job: Job) -> Pruned:
        assert self.answer == 42
        return WAYS[job.keep](job)
"""

KINDS: list[Kind] = ["bubblewrap", "none"]


@pytest.fixture(scope="module", params=KINDS)
def ways(request: pytest.FixtureRequest, pycache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A warm sandbox whose method does many things: which, the target says."""
    if request.param == "bubblewrap":
        request.getfixturevalue("bubblewrap")
    limits = arena.LIMITS.model_copy(update={"wall_seconds": 3.0})
    spec = arena.spec(arena.submission(MANY_WAYS, hyperparameters={"answer": 42}), pycache, limits)
    with open_sandbox(spec, tmp_path_factory.mktemp("ways"), request.param) as sandbox:
        yield sandbox


def run(sandbox: Sandbox, way: int, seed: int = 0) -> Outcome:
    return sandbox.run(arena.task(way, seed))


def content(outcome: Outcome) -> bytes:
    assert outcome.status == "ok", (outcome.reason, outcome.log)
    assert outcome.artifact is not None
    return outcome.artifact.read_bytes()


def test_same_task_same_bytes(ways: Sandbox) -> None:
    """Whatever ran before, and although the method draws from every random source there is."""
    first = [content(run(ways, way)) for way in (1, 2)]
    assert run(ways, 14).status == "ok"
    assert [content(run(ways, way)) for way in (2, 1)] == first[::-1]
    assert content(run(ways, 1, seed=1)) != first[0]


def test_same_bytes_in_another_sandbox(opened: Opener, pycache: Path, ways: Sandbox) -> None:
    """A sandbox started afresh, of the other kind where both are to be had, yields the same."""
    other = opened(arena.submission(MANY_WAYS, hyperparameters={"answer": 42}), kind="none")
    assert [content(run(other, way)) for way in (2, 1)] == [content(run(ways, way)) for way in (2, 1)]


def test_what_a_method_finds(ways: Sandbox) -> None:
    """One thread, deterministic algorithms, a model in eval mode, the processor's best kernels."""
    import torch

    log = run(ways, 18).log
    assert log.startswith(f"[18, 1, True, False, '{torch.backends.cpu.get_cpu_capability()}'")


def test_missed_count_is_let_through(ways: Sandbox) -> None:
    """Whether a count is near enough is for the scorer to say."""
    outcome = run(ways, 3)
    assert outcome.artifact is not None
    admit(outcome.artifact, arena.form())


def test_new_weights_come_with_the_masks(ways: Sandbox) -> None:
    outcome = run(ways, 10)
    assert outcome.artifact is not None
    assert list(admit(outcome.artifact, arena.form()).weights) == [0, 1]


@pytest.mark.parametrize(
    ("way", "status", "reason"),
    [
        (4, "method_error", "^method.Own: two lines$"),
        (5, "method_error", "^ValueError: after printing$"),
        (6, "invalid_output", "returned NoneType"),
        (7, "invalid_output", "no mask of layer 1"),
        (8, "invalid_output", "no layer 7 .*numbered 0 to 1"),
        (9, "invalid_output", r"new weight of layer 0 has shape \(3,\)"),
        (11, "out_of_memory", "limit of 1000 MB"),
        (12, "out_of_memory", "limit of 1000 MB"),
        (13, "method_error", "ended the program .*enough"),
        (15, "invalid_output", "NaN or infinity"),
        (17, "invalid_output", "not a boolean"),
        (99, "method_error", "KeyError: 99"),
        (16, "timeout", "longer than the limit of 3 s"),
    ],
)
def test_failures_are_told(ways: Sandbox, way: int, status: str, reason: str) -> None:
    outcome = run(ways, way)
    assert outcome.status == status, outcome
    assert re.search(reason, outcome.reason or ""), outcome
    assert outcome.artifact is None
    assert ("in <lambda>\n    16: lambda job: time.sleep(100)," in outcome.log) == (status == "timeout"), "where it was"


GREEDY = """
import sys
from evaluator.contract import Job, Pruned, PruningMethod

def honest(job, ours):
    pass

def turns_it_back(job, ours):
    job._training.used = 0
    job._training.epochs = 99
    Job.epochs_left = 99

def lifts_the_limit(job, ours):
    ours.MethodTraining._window = lambda self, call: (0, call.epochs)

def buys_epochs(job, ours):
    ours._LEFT[job._training] = 99

WAYS = [honest, turns_it_back, lifts_the_limit, buys_epochs]

class Greedy(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        job.train(1)
        WAYS[job.keep - 1000](job, sys.modules["evaluator.method_training"])
        job.train(1)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
"""


@pytest.fixture(scope="module")
def greedy(pycache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A method that trains two epochs, whatever it may."""
    needs = {"data": True, "labels": True, "gradients": False, "training_epochs": 2}
    spec = arena.spec(arena.submission(GREEDY, needs=needs), pycache)
    with open_sandbox(spec, tmp_path_factory.mktemp("greedy"), "none") as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("way", "most", "status", "reason", "epochs"),
    [
        ("honest", 2, "ok", None, 2),
        ("turns_it_back", 2, "ok", None, 2),
        ("turns_it_back", 1, "method_error", "1 epochs of training are asked for, 0 of 99 are left .*", 0),
        ("lifts_the_limit", 1, "method_error", "the method trained 2 epochs, but may train 1", 2),
        ("buys_epochs", 1, "method_error", "the method's process sent a garbled report", 0),
    ],
)
def test_more_epochs_than_it_may_train_are_a_failure(greedy: Sandbox, way, most, status, reason, epochs) -> None:
    """However it came by them, and never counted for less."""
    keep = 1000 + ["honest", "turns_it_back", "lifts_the_limit", "buys_epochs"].index(way)
    recipe = arena.grid().recipes["digits-pruning"].model_dump(mode="json")
    training = Allowance(recipe=recipe, epochs=most, continuous=False, memory_format="contiguous")
    outcome = greedy.run(dataclasses.replace(arena.task(keep), training=training))
    assert (outcome.status, outcome.epochs) == (status, epochs), outcome
    assert outcome.reason == reason or re.fullmatch(reason, outcome.reason or "")
    assert (outcome.artifact is None) == (status != "ok")


def test_traceback_shows_the_method_alone(ways: Sandbox) -> None:
    log = run(ways, 4).log
    assert "Own: two lines" in log
    assert re.findall(r'File "([^"]*)"', log) == ["method.py"] * 4


def test_log_is_of_the_task(ways: Sandbox) -> None:
    """What one task printed is not in the log of the next."""
    assert run(ways, 5).log.splitlines()[:2] == ["to stdout", "to stderr"]
    assert "to stdout" not in run(ways, 4).log


def test_cost_is_measured(ways: Sandbox) -> None:
    outcome = run(ways, 2)
    assert 0 < outcome.seconds < 3
    assert outcome.memory_mb is not None
    assert 50 < outcome.memory_mb < 1000


def test_environment_is_cleared(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sandbox, too."""
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    code = arena.MAGNITUDE + "import os; print(sorted(os.environ))"
    log = opened(arena.submission(code), kind="none").run(arena.task()).log
    assert "HOME" in log
    assert "SECRET_TOKEN" not in log


def test_what_runs_is_what_was_read(opened: Opener, tmp_path: Path) -> None:
    """A folder that changes after it was read, and digested, changes nothing."""
    assert opened(arena.submission(), kind="none").run(arena.task()).status == "ok"
    assert not arena.submission().folder.exists()


def test_what_runs_has_no_docstrings_and_its_log_the_lines_as_written(opened: Opener) -> None:
    """So the words, which are not digested, reach no method, in whatever way it asks for them."""
    code = """'''Words
of a module.'''
from evaluator.contract import Job, Pruned, PruningMethod

class Reader(PruningMethod):
    ('A text of'
       'two lines.')

    def prune(self, job: Job) -> Pruned:
        'More words.'
        print("{0.__doc__!r} {1.__doc__!r}".format(self, self.prune), repr(__doc__))
        raise ValueError("here")
"""
    outcome = opened(arena.submission(code), kind="none").run(arena.task())
    assert outcome.log.splitlines()[0] == "'' '' ''"
    assert 'File "method.py", line 12, in prune' in outcome.log
    assert code.splitlines()[11].strip() == 'raise ValueError("here")'


def test_missing_data_is_the_sandbox_s_failure(pycache: Path, tmp_path: Path) -> None:
    spec = arena.spec(arena.submission(), pycache)
    broken = Spec(**{**vars(spec), "visible": tmp_path})
    with pytest.raises(SandboxError), open_sandbox(broken, tmp_path / "scratch", "none"):
        pass
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.parametrize("way", ["as this user", "with a name space of users"])
def test_dies_with_the_coordinator(way: str, tmp_path: Path, pycache: Path) -> None:
    """Killed without warning in the middle of a task, it leaves nothing running."""
    program = f"""
import sys; sys.path.insert(0, {str(arena.ROOT)!r})
from pathlib import Path
from evaluator.sandbox import bubblewrap, open_sandbox
from tests.sandbox import arena
if {way != "as this user"}:
    bubblewrap._as_root = lambda: False
code = arena.MAGNITUDE + "import time; print('on'); time.sleep(600)"
with open_sandbox(arena.spec(arena.submission(code), Path({str(pycache)!r})), Path({str(tmp_path)!r}), "bubblewrap") as box:
    print("ready", flush=True)
    box.run(arena.task())
"""
    coordinator = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert coordinator.stdout is not None
    assert coordinator.stdout.readline() == "ready\n"
    time.sleep(0.5)
    below = list(descendants(coordinator.pid))
    assert len(below) >= 3, "the wrapper, the child, the task"
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()
    deadline = time.monotonic() + 5
    while alive := [pid for pid in below if running(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.skipif(os.geteuid() != 0, reason="every other test here is of this kind already")
@pytest.mark.parametrize("name", ["looks-into-processes", "makes-name-spaces", "writes-where-it-must-not"])
def test_walls_of_other_users(name: str, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by root, but as everybody else starts it: with a name space of users. (No bombs: root has no limits.)"""
    monkeypatch.setattr(bubblewrap, "_as_root", lambda: False)
    folder = arena.ROOT / "tests" / "attacks" / name
    hostile = arena.submission((folder / "method.py").read_text(), hyperparameters={"bait": "/root/x", "checkout": "/root"})
    outcome = opened(hostile).run(arena.task(arena.HOSTILE))
    assert "BREACH" not in outcome.log, outcome.log
    assert outcome.status == "ok", outcome


def test_available_says_what_works() -> None:
    assert available() in ("bubblewrap", "none")
    assert available() == ("bubblewrap" if bubblewrap.works() else "none")


LOOKS_FOR_NETWORKS = """
import os
from safetensors.torch import load_file
from evaluator.contract import Job, Pruned, PruningMethod

class Looks(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        known = [weight for _, weight in job.weights()]
        for folder, folders, files in os.walk("/"):
            if folder == "/":
                folders[:] = set(folders) - {"proc", "sys", "usr", "dev"}
            for name in files:
                if name.endswith(".safetensors") and name not in ("train.safetensors", "validation.safetensors"):
                    found = load_file(os.path.join(folder, name)).values()
                    print("FOUND", "mine" if any(t.float().equal(known[0]) for t in found) else "another")
        return job.keep_highest({p: w.abs() for p, w in job.weights()})
"""


@pytest.mark.usefixtures("bubblewrap")
def test_a_task_sees_its_own_base_model_and_no_other(opened: Opener) -> None:
    """Also not that of the task before; and none where training begins with the initial weights."""
    sandbox = opened(arena.submission(LOOKS_FOR_NETWORKS))
    for seed in (0, 2, 1):
        assert sandbox.run(arena.task(seed=seed)).log.split() == ["FOUND", "mine"]
    outcome = sandbox.run(dataclasses.replace(arena.task(), base=None))
    assert (outcome.status, outcome.log) == ("ok", "")
