"""Commands in child processes of a runner."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_what_goes_wrong_meanwhile_ends_the_command(repository: Repository) -> None:
    def lost() -> None:
        raise InterruptedError("another runner has taken over")

    with pytest.raises(InterruptedError):
        stages.ask(repository, "check", meanwhile=lost)
