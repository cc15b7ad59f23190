"""One pass of a runner over open and merged changes, and what keeps it from one of them. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.errors import EspalierError, SandboxError
from evaluator.forges import Change, DryRun, LocalForge, people
from evaluator.repository import Repository
from evaluator.runner import runner, stages
from evaluator.runner.runner import WALLED, Runner
from evaluator.runner.workspace import Workspaces
from evaluator.sandbox import require, session
from tests.runner.project import git
from tests.runner.stage import Lines, Stage, cell


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return tmp_path / "author"


def propose(forge: LocalForge, author: Path, slug: str = "new", name: str = "method.py") -> Change:
    """An open change with one submission."""
    git(author, "checkout", "--quiet", "--force", "--detach", "origin/main")
    (author / "submissions" / slug).mkdir(exist_ok=True)
    (author / "submissions" / slug / name).write_text("new = 1\n")
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", f"A method: {slug}")
    return people.open_change(forge, author, title=f"Add {slug}", author="somebody")


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
    forge = LocalForge(project)
    git(project, "config", "--add", "espalier.maintainer", "maintainer")
    change = propose(forge, author)
    people.approve(forge, change.number, "maintainer")
    stage.cells = [cell("digits-mlp", "old")]
    work.once()
    assert {verb for verb, options in stage.options.items() if WALLED in options} == {"smoke", "sentinels"}
    assert [slug for slug, *options in stage.measured if WALLED in options] == ["new", "old"]


@pytest.mark.parametrize("failure", [EspalierError("odd"), OSError("File name too long"), UnicodeError("surrogates")])
def test_a_change_that_cannot_be_looked_at_does_not_keep_from_the_others(
    work: Runner, project: Path, author: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    forge = LocalForge(project)
    odd, innocent = propose(forge, author, "odd"), propose(forge, author, "new")
    prepare = Workspaces.prepare

    def fail(workspaces: Workspaces, number: int, *about: str) -> Repository:
        if number == odd.number:
            raise failure
        return prepare(workspaces, number, *about)

    monkeypatch.setattr(Workspaces, "prepare", fail)
    assert work.once()
    assert (forge.status(odd) is None, forge.status(innocent) is None) == (True, False)
    assert [line["change"] for line in lines.of(str(failure))] == [odd.number]


def test_a_change_that_was_found_unsound_is_named(
    work: Runner, project: Path, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pass after pass, without looking again."""
    author = tmp_path / "author"
    (author / "submissions" / "new").mkdir()
    (author / "submissions" / "new" / "method.py").write_text("new = 1\n")
    for arguments in (["add", "--all"], ["commit", "--quiet", "-m", "A method"]):
        git(author, *arguments)
    change = people.open_change(LocalForge(project), author, title="Add new", author="somebody")
    monkeypatch.setattr(stages, "ask", lambda *_: {"ok": False, "problems": [], "cells": []})
    work.once()
    assert [line["open_changes"] for line in lines.of("pass ended")] == [1]
    work.once()
    assert [line["change"] for line in lines.of("found unsound before; waits for a push")] == [change.number]
    assert [line["open_changes"] for line in lines.of("nothing to do")] == [1]


def test_a_change_that_was_refused_is_told_so_once(work: Runner, project: Path, lines: Lines, tmp_path: Path) -> None:
    """And not by a dry run, after which the true one still has to say it."""
    (tmp_path / "author" / "README.md").write_text("Another project\n")
    git(tmp_path / "author", "commit", "--quiet", "--all", "-m", "Not a method")
    forge = LocalForge(project)
    change = people.open_change(forge, tmp_path / "author", title="Read me", author="somebody")
    work.forge, work.dry = DryRun(forge, lambda _: None), True
    work.once()
    assert forge.comment(change) is None
    work.forge, work.dry = forge, False
    work.once()
    assert "touches more than a submission" in (forge.comment(change) or "")
    work.once()
    assert [line["change"] for line in lines.of("refused before; waits for a push")] == [change.number]
    assert len(lines.of("nothing to do")) == 1
