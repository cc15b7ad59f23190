"""Hostile submissions: each is contained, gets the right status, and harms nobody who comes after it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluator.admission import Artifact, admit
from evaluator.errors import InvalidOutcome, SubmissionError
from evaluator.grid import Limits
from evaluator.metadata import Submission, load_submission
from evaluator.sandbox import Outcome, Sandbox, bubblewrap, open_sandbox
from tests.sandbox import arena
from tests.sandbox.conftest import Opener

pytestmark = pytest.mark.usefixtures("bubblewrap")
HERE = Path(__file__).parent
IMPATIENT = arena.LIMITS.model_copy(update={"wall_seconds": 2.0})


class Expected(NamedTuple):
    status: str
    reason: str = ""
    limits: Limits = arena.LIMITS


CONTAINED = Expected("ok")
"""It may try what it likes; nothing it tries works."""

EXPECTED = {
    "becomes-a-shell": Expected("method_error", "ended its process"),
    "bombs-memory": Expected("out_of_memory", "limit of 1000 MB"),
    "bombs-memory-with-forks": Expected("out_of_memory", "limit of 1000 MB"),
    "bombs-shared-memory": Expected("out_of_memory", "limit of 1000 MB"),
    "bombs-with-forks": Expected("method_error", "limit of 24 processes"),
    "bombs-with-threads": Expected("method_error", "limit of 24 processes"),
    "claims-infrastructure": Expected("method_error", "garbled"),
    "crashes": Expected("method_error", "SIGSEGV"),
    "exits": Expected("method_error", "SystemExit"),
    "exits-hard": Expected("method_error", "ended its process"),
    "fills-the-disk": Expected("method_error", "limit on the output is 2 MB"),
    "floods-the-log": CONTAINED,
    "hangs-when-imported": Expected("timeout", "limit of 2 s", IMPATIENT),
    "has-no-class": Expected("method_error", "exactly one subclass of PruningMethod; found: none"),
    "has-two-classes": Expected("method_error", "found: First, Second"),
    "is-not-python": Expected("method_error", r"SyntaxError: .* \(line 1\)"),
    "kills-everything": Expected("method_error", "SIGKILL"),
    "leaves-a-daemon": CONTAINED,
    "links-the-output": Expected("invalid_output", "not a plain file"),
    "looks-into-processes": CONTAINED,
    "makes-name-spaces": CONTAINED,
    "makes-the-output-a-folder": Expected("invalid_output", "not a plain file"),
    "nests-folders": CONTAINED,
    "never-ends": Expected("timeout", "limit of 2 s", IMPATIENT),
    "opens-sockets": CONTAINED,
    "pipes-the-output": Expected("invalid_output", "not a plain file"),
    "raises-a-trap": Expected("method_error", "ended its process|Trap"),
    "reads-home-and-environment": CONTAINED,
    "reads-test-arrays": CONTAINED,
    "returns-nan-scores": Expected("invalid_output", "NaN"),
    "returns-nan-weights": Expected("invalid_output", "finite"),
    "returns-something-else": Expected("invalid_output", "returned dict"),
    "returns-the-wrong-shape": Expected("invalid_output", "shape"),
    "speaks-for-the-sandbox": Expected("method_error", "garbled|ended"),
    "stops-itself": Expected("timeout", "limit of 2 s", IMPATIENT),
    "writes-a-sparse-file": Expected("method_error", "limit of 2 MB|File too large|SIGXFSZ"),
    "writes-thousands-of-files": Expected("method_error", "limit of 1000 files"),
    "writes-where-it-must-not": CONTAINED,
}
"""What the sandbox makes of each."""

REFUSED = {
    "patches-torch-and-timers": "NaN",
    "writes-a-deep-header": "not JSON|header has",
    "writes-a-huge-header": "header has",
    "writes-a-pickle": "header has",
}
"""Attacks whose outcome the sandbox passes on, unread, and the scorer refuses."""

SAY_NO_MORE = {"has-no-class", "has-two-classes", "is-not-python", "hangs-when-imported"}
"""Broken from the first line on, so that there is no honest task to try afterwards."""

BRING_IT_DOWN = {"bombs-memory-with-forks", "bombs-shared-memory", "bombs-with-threads", "never-ends"}
"""The sandbox is started again after these, as after others of which a test sees it; seconds saved."""


class Bait(NamedTuple):
    """What an attack is after: files, a folder and sockets of this machine. ``port`` is on the loopback."""

    file: Path
    port: int
    abstract: str
    named: Path
    listeners: tuple[socket.socket, ...]


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bait]:
    monkeypatch.setenv("ESPALIER_BAIT_TOKEN", "bait")
    file = tmp_path / "home" / "bait"
    file.parent.mkdir()
    file.write_text("bait")
    abstract, named = f"espalier-bait-{os.getpid()}", tmp_path / "socket"
    addresses = ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, f"\0{abstract}"), (socket.AF_UNIX, str(named)))
    listeners = []
    for family, address in addresses:
        listener = socket.socket(family)
        listener.bind(address)
        listener.listen()
        listener.setblocking(False)
        listeners.append(listener)
    yield Bait(file, listeners[0].getsockname()[1], abstract, named, tuple(listeners))
    for listener in listeners:
        listener.close()


@pytest.fixture(scope="module")
def neighbour(pycache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """An honest submission at work beside all the attacks."""
    with open_sandbox(
        arena.spec(arena.submission(), pycache), tmp_path_factory.mktemp("neighbour"), "bubblewrap"
    ) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def honest(neighbour: Sandbox) -> bytes:
    """What an honest submission yields before any attack."""
    return content(neighbour.run(arena.task()))


def content(outcome: Outcome) -> bytes:
    assert outcome.status == "ok", (outcome.reason, outcome.log)
    assert outcome.artifact is not None
    return outcome.artifact.read_bytes()


def attack(name: str, bait: Bait) -> Submission:
    """The submission, told where to look, so that it does not have to guess."""
    read = load_submission(HERE / name)
    hidden = arena.spec(read, HERE).visible.parent / "hidden" / "test.safetensors"
    assert hidden.is_file()
    known = {"bait": str(bait.file), "checkout": str(arena.ROOT), "hidden": str(hidden), "port": bait.port}
    known |= {"abstract": bait.abstract, "named": str(bait.named)}
    return read.model_copy(update={"metadata": read.metadata.model_copy(update={"hyperparameters": known})})


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change; bytecode that others write meanwhile aside."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix != ".pyc" and "scratch" not in path.parts:
                found[str(path)] = (path.lstat().st_size, path.lstat().st_mtime_ns if path.is_file() else 0)
    return found


def test_every_attack_is_expected() -> None:
    """A folder here is an attack, and every attack has a verdict."""
    folders = {path.name for path in HERE.iterdir() if (path / "method.py").is_file()}
    assert folders == {*EXPECTED, *REFUSED, "forges-an-outcome"}


@pytest.mark.parametrize("name", [*EXPECTED, *REFUSED, "forges-an-outcome"])
def test_contained(name: str, opened: Opener, bait: Bait, neighbour: Sandbox, honest: bytes, tmp_path: Path) -> None:
    """Right status, nothing breached, nothing left, and honest tasks as if it had not been."""
    if name == "makes-name-spaces" and platform.machine() != "x86_64":
        pytest.skip("this attack calls the kernel by the numbers of x86_64")
    expected = EXPECTED.get(name, CONTAINED)
    before = snapshot(HERE / name, bait.file.parent)
    sandbox = opened(attack(name, bait), limits=expected.limits)
    outcome = sandbox.run(arena.task(arena.HOSTILE))

    assert "BREACH" not in outcome.log
    assert (outcome.status, bool(re.search(expected.reason, outcome.reason or ""))) == (expected.status, True), outcome
    assert outcome.seconds < expected.limits.wall_seconds + 1
    assert (outcome.artifact is None) == (outcome.status != "ok")
    judge_artifact(name, outcome)
    judge_measures(name, outcome)
    for listener in bait.listeners:
        with pytest.raises(BlockingIOError):
            listener.accept()

    if name not in SAY_NO_MORE | BRING_IT_DOWN:
        assert content(sandbox.run(arena.task())) == honest, "the next task of the same sandbox"
    assert content(neighbour.run(arena.task())) == honest, "the sandbox beside it"
    sandbox.close()
    assert snapshot(HERE / name, bait.file.parent) == before
    assert [path.suffix for path in (tmp_path / "scratch").iterdir() if path.suffix != ".safetensors"] == []
    assert not arena.strays()


@pytest.mark.parametrize("name", ["looks-into-processes", "writes-where-it-must-not"])
def test_contained_where_proc_can_be_written(
    name: str, opened: Opener, bait: Bait, honest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a GPU: what a process finds writable there is its own."""
    monkeypatch.setattr(bubblewrap, "_proc", lambda _: [])
    sandbox = opened(attack(name, bait))
    outcome = sandbox.run(arena.task(arena.HOSTILE))
    assert (outcome.status, "BREACH" in outcome.log) == ("ok", False), outcome
    assert content(sandbox.run(arena.task())) == honest
    named = "import threading\nopen(f'/proc/self/task/{threading.get_native_id()}/comm', 'w').write('named')\n"
    assert content(opened(arena.submission(named + arena.MAGNITUDE)).run(arena.task())) == honest


def judge_artifact(name: str, outcome: Outcome) -> None:
    if name in REFUSED:
        assert outcome.artifact is not None
        with pytest.raises(InvalidOutcome, match=REFUSED[name]):
            admit(outcome.artifact, arena.form())
    elif outcome.artifact is not None:
        artifact = admit(outcome.artifact, arena.form())
        kept = sum(int(mask.sum()) for mask in artifact.masks.values())
        assert kept == (sum(a * b for _, (a, b) in arena.form().layers) if name == "forges-an-outcome" else arena.HOSTILE)
        assert Artifact.load(artifact.save()).digest == artifact.digest


def judge_measures(name: str, outcome: Outcome) -> None:
    """Time is taken outside; the log is short, plain and without a path of this machine."""
    assert outcome.seconds > (1 if name == "patches-torch-and-timers" else 0)
    assert len(outcome.log.encode()) <= 8000
    assert all(character.isprintable() or character in "\n\t" for character in outcome.log)
    assert str(Path.home()) not in outcome.log
    assert str(arena.ROOT) not in outcome.log
    if name == "floods-the-log":
        assert "reversed <script>alert(1)</script>\nend method.py" in outcome.log


def test_a_fresh_honest_submission_afterwards(opened: Opener, honest: bytes) -> None:
    """As alone, byte for byte."""
    assert content(opened(arena.submission()).run(arena.task())) == honest


def test_a_link_to_a_secret_is_not_read(tmp_path: Path) -> None:
    """The coordinator would read it with its own rights, and an error message could quote it."""
    folder, secret = tmp_path / "exits", tmp_path / "secret"
    shutil.copytree(HERE / "exits", folder)
    secret.write_text("the secret")
    (folder / "method.py").unlink()
    (folder / "method.py").symlink_to(secret)
    with pytest.raises(SubmissionError, match="plain file"):
        load_submission(folder)
