"""Commands in child processes of a runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evaluator.errors import EspalierError
from evaluator.repository import Repository
from evaluator.runner import stages
from tests.miniature import Miniature
from tests.runner.project import with_code


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    mini = Miniature(tmp_path / "checkout")
    mini.submit("largest")
    with_code(mini.root)
    monkeypatch.setattr(stages, "LOOK_UP", 0.01)
    return Repository(mini.root)


def test_a_long_command_does_not_keep_from_other_duties(repository: Repository) -> None:
    looks: list[None] = []
    assert stages.ask(repository, "check", meanwhile=lambda: looks.append(None))["ok"]
    assert looks


def test_progress_counts_what_can_be_measured_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The time left is that of so many workers."""
    seen: list[tuple[str, ...]] = []
    states = {"fresh": [], "failed": [], "stale": ["method"], "missing": []}
    cells = [
        {"submission": "largest", "cell": state, "state": state, "todo": todo, "seconds": 60.0 if todo else None}
        for state, todo in states.items()
    ]
    plan = {"workers": 2, "cells": [*cells, cells[2] | {"submission": "dense"}]}
    monkeypatch.setattr(stages, "ask", lambda _, *arguments: seen.append(arguments) or plan)
    where = Repository(tmp_path), "largest", ("--workers=2",)
    found = stages.Progress.of(*where)
    assert (found.done, found.cells, found.seconds) == (2, 3, 30.0)
    cells[3] |= {"todo": ["method"]}
    assert found.later(*where) == found, "the cell of another machine is none of ours"
    assert seen == [("plan", "largest", "--here", "--workers=2"), ("plan", "largest", "--workers=2")]


def test_the_log_of_evaluations_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "command", lambda *_: ["echo", "measured"])
    monkeypatch.setattr(stages, "LOG_BYTES", 10)
    for _ in range(4):
        stages.Evaluation(Repository(tmp_path), "largest").wait(10)
    logs = sorted((tmp_path / ".espalier").iterdir())
    assert [(log.name, log.read_text()) for log in logs] == [
        ("evaluation.log", "measured\n" * 2),
        ("evaluation.log.1", "measured\n" * 2),
    ]


@pytest.mark.parametrize(
    ("out", "err", "cause"),
    [
        (
            "",
            "reading records\nwarning: 3 stale\nerror: results: the line is damaged\n  fix: restore it",
            "error: results: the",
        ),
        ("note: fine\nproblem: a page: another number\n9 records; 1 problem", "reading records", "problem: a page: another"),
        ("9 pages", "reading records\nwarning: 3 stale\nwarning: left out: a method", "warning: left out: a method"),
        ("", "Traceback:\n  in main\nKeyError: 1", "KeyError: 1"),
        ("", "", "it said nothing"),
    ],
)
def test_a_failure_is_told_by_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, err: str, cause: str
) -> None:
    """Not by what the command was at when it began."""
    monkeypatch.setattr(stages, "_run", lambda *_, **__: subprocess.CompletedProcess([], 1, out, err))
    with pytest.raises(EspalierError, match=f"espalier site build failed: {cause}"):
        stages.do(Repository(tmp_path), "site", "build", "--strict")


def test_what_goes_wrong_meanwhile_ends_the_command(repository: Repository) -> None:
    def lost() -> None:
        raise InterruptedError("another runner has taken over")

    with pytest.raises(InterruptedError):
        stages.ask(repository, "check", meanwhile=lost)
