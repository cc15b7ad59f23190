"""One pass of a runner as a whole: where it runs, what ends it, and what it leaves alone. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluator.commands import runner as command
from evaluator.errors import Interrupted, SandboxError
from evaluator.forges import LocalForge, Status, people
from evaluator.runner import runner, watch
from evaluator.runner.approved import UNMEASURED
from evaluator.runner.greeting import WALLED
from evaluator.runner.runner import HEARTBEAT, Runner
from evaluator.runner.stages import Progress
from evaluator.runner.workspace import Workspaces
from evaluator.sandbox import require, session
from tests.runner.project import git
from tests.runner.stage import HOUR, Lines, Stage, approved, cell, propose


def test_without_a_sandbox_nothing_is_looked_at(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = propose(LocalForge(project), author)
    monkeypatch.setattr(runner, "require", require)
    monkeypatch.setattr(session, "available", lambda: "none")
    with pytest.raises(SandboxError, match="bubblewrap does not work here"):
        work.once()
    assert (stage.asked, stage.measured, LocalForge(project).status(change)) == ([], [], None)


def test_whatever_runs_a_submission_does_it_in_the_sandbox_or_not_at_all(
    work: Runner, stage: Stage, project: Path, author: Path
) -> None:
    approved(LocalForge(project), author)
    stage.cells = [cell("digits-mlp", "old")]
    work.once()
    assert {verb for verb, options in stage.options.items() if WALLED in options} == {"smoke", "sentinels"}
    assert [slug for slug, *options in stage.measured if WALLED in options] == ["new", "old"]


def test_a_machine_with_two_kinds_of_devices_measures_on_one_after_the_other(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what neither can measure is not waited for, by nobody: not by the status, not by the sentinels."""
    forge = LocalForge(project)
    change = approved(forge, author)
    left = [Progress(2, 3, None), Progress(3, 3, None), Progress(3, 3, None)]
    evaluation = stage.evaluation

    def measure(*about: Any) -> Stage:
        stage.progress, stage.seconds = left.pop(0), 0
        return evaluation(*about)

    monkeypatch.setattr(watch, "Evaluation", measure)
    work.once()
    assert [slug for slug, *_ in stage.measured] == ["new", "new"]
    status = forge.status(change)
    assert status is not None
    assert (status.state, status.description) == ("success", "3/3 cells")
    assert "--here" in stage.options["plan"]


def test_a_machine_that_measures_otherwise_measures_no_change(
    work: Runner, stage: Stage, project: Path, author: Path
) -> None:
    """It is asked before each batch, not only before a publication."""
    forge = LocalForge(project)
    change = approved(forge, author)
    stage.deviations = ["random on digits-mlp: its count of parameters or MACs changed"]
    work.once()
    assert (stage.measured, forge.status(change)) == ([], Status("error", UNMEASURED))
    stage.deviations = []
    work.once()
    assert [slug for slug, *_ in stage.measured] == ["new"]


def test_what_no_record_names_is_collected_once_a_day(work: Runner, stage: Stage) -> None:
    """And from the clone what nothing leads to: the leases of before."""
    for hours in (0, 23, 2):
        stage.time += hours * HOUR
        work.once()
    assert stage.asked.count("gc") == 2
    assert git(work.workspaces.clone.folder, "count-objects") == "0 objects, 0 kilobytes"


def test_who_stops_the_runner_stops_it(
    work: Runner, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """Whatever it is at; and the lease is free."""

    def stop(*_: object) -> None:
        raise Interrupted("stopped")

    propose(LocalForge(project), author)
    monkeypatch.setattr(Workspaces, "prepare", stop)
    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=lambda _: pytest.fail("it goes on")))
    with pytest.raises(Interrupted):
        command._forever(work, 300)
    assert work.lease.holder() is None
    assert lines.of("stopped") == []


def test_a_pass_that_fails_gives_the_lease_back(work: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalForge, "merged_changes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work.once()
    assert work.lease.holder() is None


def test_a_dry_run_neither_removes_a_workspace_nor_says_that_it_was_seen(
    work: Runner, project: Path, author: Path, lines: Lines
) -> None:
    forge = LocalForge(project)
    change = propose(forge, author)
    work.once()
    people.close(forge, change.number)
    (work.home / HEARTBEAT).unlink()
    work.dry = True
    work.once()
    assert work.workspaces.numbers() == [change.number]
    assert [line["change"] for line in lines.of("would remove workspace and preview")] == [change.number]
    assert not (work.home / HEARTBEAT).exists()
    work.dry = False
    work.once()
    assert work.workspaces.numbers() == []


def test_what_is_for_another_branch_is_nobody_of_ours(work: Runner, project: Path, author: Path, lines: Lines) -> None:
    """Open or merged; nor is a merge that main does not have, whose workspace is kept until it does."""
    forge = LocalForge(project)
    git(author, "push", "--quiet", "origin", "origin/main:refs/heads/next")
    waits, merged = propose(forge, author, "waits", base="next"), propose(forge, author, "merged", base="next")
    people.merge(forge, merged.number)
    assert work.once()
    assert not work.failed
    assert forge.status(waits) is None
    assert [(line["open_changes"], line["merged_changes"]) for line in lines.of("nothing to do")] == [(0, 0)]
