"""What keeps a runner from one open change, what it says of that, and the others' turn. Nothing is measured here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.errors import EspalierError
from evaluator.forges import DryRun, LocalForge, Source, Status, people
from evaluator.repository import Repository
from evaluator.runner import greeting, stages
from evaluator.runner.git import Clone
from evaluator.runner.greeting import UNTRIED
from evaluator.runner.runner import Runner
from evaluator.runner.workspace import Workspaces
from tests.runner.project import git
from tests.runner.stage import Lines, Stage, propose, silent


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


def test_a_change_that_git_does_not_take_is_told_so_once(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """What is wrong with it is not tried again, what is lacking is; a forge out of reach is no fault of a change. Git asks
    the project by its own way, whatever address the forge names."""
    forge = LocalForge(project)
    tree = author / "tree"
    tree.write_bytes(b"100644 .git\0" + bytes.fromhex(git(author, "hash-object", "-w", "README.md")))
    made = git(author, "hash-object", "-t", "tree", "-w", "--literally", "tree")
    commit = git(author, "commit-tree", made, "-p", "origin/main", "-m", "Odd")
    odd = people.open_change(forge, author, commit, title="Odd", author="somebody")
    tree.unlink()
    gone, away, sound = (propose(forge, author, slug) for slug in ("gone", "away", "sound"))
    places = {gone.number: Source("/nowhere", "refs/pull/99/head")}
    source = LocalForge.source
    monkeypatch.setattr(LocalForge, "source", lambda self, one: places.get(one.number) or source(self, one))
    for name in ("fetch", "at"):
        monkeypatch.setattr(Clone, name, unless(f"refs/pull/{away.number}/head", getattr(Clone, name)))
    assert work.once()
    statuses = [forge.status(change) for change in (odd, gone, away, sound)]
    assert [status.state if status else None for status in statuses] == ["error", "error", None, "pending"]
    assert "hasDotgit" in (forge.comment(odd) or "")
    assert "push the branch again" in (forge.comment(gone) or "")
    assert work.once()
    assert [line["change"] for line in lines.of("git cannot fetch this commit")] == [odd.number, gone.number]
    assert [line["change"] for line in lines.of("refused before; waits for a push")] == [odd.number]
    places.clear()
    assert work.once()
    assert (forge.status(gone) or odd).state == "pending"


def test_commits_that_are_too_large_are_refused_and_nothing_of_them_stays(
    work: Runner, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """Whatever the last of them is: what is gone again is fetched as well. What main got meanwhile is not counted."""
    forge, clone = LocalForge(project), work.workspaces.clone
    monkeypatch.setattr(greeting, "MOST_FETCHED", 100_000)
    (author / "weights").write_bytes(os.urandom(300_000))
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", "Weights")
    weights = git(author, "rev-parse", "HEAD")
    large = people.open_change(forge, author, title="Large", author="somebody")
    git(author, "reset", "--quiet", "--hard", "origin/main")
    (author / "main").write_bytes(os.urandom(300_000))
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", "Main has much")
    clone.open()
    monkeypatch.setattr(clone, "open", lambda: None)
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    innocent = propose(forge, author)
    assert work.once()
    assert forge.status(large) == Status("failure", "not one submission")
    assert "the commits of this change have more than 0.1 MB" in (forge.comment(large) or "")
    assert "without what is large" in (forge.comment(large) or "")
    assert (forge.status(innocent) or Status("error", "")).state == "pending"
    assert clone.run("cat-file", "-e", weights).returncode
    assert clone.run("cat-file", "-e", innocent.head).returncode == 0
    assert [path.name for path in clone.folder.rglob("tmp_*")] == []
    assert work.once()
    assert [line["change"] for line in lines.of("refused before; waits for a push")] == [large.number]


def test_of_what_was_refused_nothing_stays(work: Runner, project: Path, author: Path) -> None:
    """A workspace has none of it, and neither has the clone."""
    forge = LocalForge(project)
    (author / "README.md").write_text("Mine\n")
    git(author, "commit", "--quiet", "--all", "-m", "Not a method")
    change = people.open_change(forge, author, title="Read me", author="somebody")
    assert work.once()
    assert (forge.status(change) or Status("error", "")).state == "failure"
    assert work.workspaces.clone.run("cat-file", "-e", change.head).returncode


def unless(ref: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    """Git, for which one ref is out of reach."""
    return lambda clone, url, asked, *into: silent() if asked == ref else ask(clone, url, asked, *into)


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
    monkeypatch.setattr(stages, "ask", lambda *_, **__: {"ok": False, "problems": [], "cells": [], "bytes": 0})
    work.once()
    assert [line["open_changes"] for line in lines.of("pass ended")] == [1]
    work.once()
    assert [line["change"] for line in lines.of("found unsound before; waits for a push")] == [change.number]
    assert [line["open_changes"] for line in lines.of("nothing to do")] == [1]


def test_a_machine_that_cannot_run_the_smoke_tier_blames_nobody(
    work: Runner, stage: Stage, project: Path, author: Path
) -> None:
    forge = LocalForge(project)
    change = propose(forge, author)
    stage.smoked = [{"cell": "a/b", "status": "infrastructure", "reason": "no memory", "repeatable": True}]
    work.once()
    assert forge.status(change) == Status("error", UNTRIED)
    stage.smoked = []
    work.once()
    assert forge.status(change) == Status("pending", "checks passed; waits for a maintainer's approval")


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
