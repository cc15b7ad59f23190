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


def test_what_goes_wrong_meanwhile_ends_the_command(repository: Repository) -> None:
    def lost() -> None:
        raise InterruptedError("another runner has taken over")

    with pytest.raises(InterruptedError):
        stages.ask(repository, "check", meanwhile=lost)
