"""What is done with a submission, each in a child process that runs main's code and sees no secret of ours."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import EspalierError
from evaluator.launch import passed_on
from evaluator.plan import DONE
from evaluator.repository import Repository
from evaluator.sandbox.confine import leave_with_parent

PATIENCE = 30.0
"""Seconds that an evaluation has to end by itself when it is told to."""
LOG_BYTES = 5_000_000
"""Of the log of an evaluation, from which on the next begins another; the one before is kept."""
LOOK_UP = 5.0
"""Seconds between two looks up from a command that is asked."""


def environment(repository: Repository) -> dict[str, str]:
    """Of a child process: what it needs by name, and the code of the checkout it works in, which is main's."""
    code = os.pathsep.join((str(repository.root), str(repository.root / "site")))
    return passed_on() | {"PYTHONPATH": code, "PYTHONUTF8": "1"}


def command(repository: Repository, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "evaluator", *arguments, "--root", str(repository.root)]


def ask(repository: Repository, *arguments: str, meanwhile: Callable[[], None] | None = None) -> Any:
    """What a command says as JSON, whether it found problems (exit code 1) or not.

    Args:
        meanwhile: called now and then while the command works; what it raises ends the command.

    Raises:
        EspalierError: it failed otherwise.
    """
    done = _run(repository, *arguments, "--json", meanwhile=meanwhile)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise _failure(repository, arguments, done) from None


def do(repository: Repository, *arguments: str, meanwhile: Callable[[], None] | None = None) -> None:
    """Run a command that must succeed. Raises EspalierError with what it complains of."""
    done = _run(repository, *arguments, meanwhile=meanwhile)
    if done.returncode:
        raise _failure(repository, arguments, done)


def _run(
    repository: Repository, *arguments: str, meanwhile: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return run(command(repository, *arguments), environment(repository), repository.root, meanwhile)


def run(
    command: Sequence[str], env: Mapping[str, str], folder: Path | None, meanwhile: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; it ends with us, and with whatever ``meanwhile`` raises."""
    with subprocess.Popen(
        command,
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=leave_with_parent,  # noqa: PLW1509 (a runner has one thread)
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=LOOK_UP if meanwhile else None)
                    break
                except subprocess.TimeoutExpired:
                    assert meanwhile is not None
                    meanwhile()
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _failure(repository: Repository, arguments: Sequence[str], done: subprocess.CompletedProcess[str]) -> EspalierError:
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    by_weight = ([line for line in lines if line.startswith(f"{kind}: ")] for kind in ("error", "problem", "warning"))
    found = next(filter(None, by_weight), lines) or ["it said nothing"]
    return EspalierError(f"espalier {' '.join(arguments[:2])} failed: {found[-1]}", where=repository.root)


@dataclass(frozen=True)
class Progress:
    """How far the cells of a submission are that can be measured here; the dense controls beside it are not counted."""

    done: int
    cells: int
    seconds: float | None
    ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, repository: Repository, slug: str, selection: Sequence[str]) -> Progress:
        """By the records."""
        plan = ask(repository, "plan", slug, "--here", *selection)
        cells = [cell for cell in plan["cells"] if cell["submission"] == slug]
        return cls._count(plan, [cell for cell in cells if cell["todo"] or cell["state"] in DONE])

    def later(self, repository: Repository, slug: str, selection: Sequence[str]) -> Progress:
        """Of the same cells; a GPU at work is not asked again what it is."""
        plan = ask(repository, "plan", slug, *selection)
        return self._count(plan, [one for one in plan["cells"] if one["submission"] == slug and one["cell"] in self.ids])

    @classmethod
    def _count(cls, plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> Progress:
        todo = [cell["seconds"] for cell in cells if cell["state"] not in DONE]
        known = [seconds for seconds in todo if seconds is not None]
        seconds = statistics.mean(known) * len(todo) / plan["workers"] if known else None
        return cls(len(cells) - len(todo), len(cells), seconds, frozenset(cell["cell"] for cell in cells))


@dataclass
class Evaluation:
    """The grid, at work on one submission in a process group of its own."""

    repository: Repository
    slug: str
    selection: Sequence[str] = ()
    log: Path | None = None
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        log = self.log or self.repository.state / "evaluation.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.is_file() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command(self.repository, "evaluate", self.slug, *self.selection),
                env=environment(self.repository),
                cwd=self.repository.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=leave_with_parent,  # noqa: PLW1509 (a runner has one thread)
            )

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End it; what was measured is kept."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                self.wait(PATIENCE)
