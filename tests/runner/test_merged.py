"""What a runner does with changes that are measured or merged, and with the site of them. Nothing is measured here."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.forges import LocalForge, people
from evaluator.runner.git import Clone
from evaluator.runner.lease import Lease
from evaluator.runner.runner import Runner
from evaluator.runner.stages import Progress
from evaluator.runner.targets import Branch, Command, Folder, Target
from evaluator.runner.workspace import Workspaces
from tests.runner.project import git
from tests.runner.stage import HOUR, Lines, Stage, approved, cell, measured, propose


def test_what_was_measured_is_published_before_what_is_to_be_measured(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was merged later."""
    forge = LocalForge(project)
    for slug in ("long", "ready"):
        people.merge(forge, propose(forge, author, slug).number)
        stage.cells.append(cell("digits-mlp", slug, "missing"))
    known: list[list[str]] = []
    monkeypatch.setattr(Progress, "of", measured("ready"))
    monkeypatch.setattr(stage, "wait", lambda _: known.append([*stage.committed]) is None)
    work.once()
    assert (known, stage.committed) == ([["ready"]], ["ready", "long"])


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_what_was_merged_is_published_however_it_was(
    work: Runner, stage: Stage, project: Path, author: Path, how: people.How
) -> None:
    """Even if its last commit undoes what another did beside the submission. Its folder goes with the publication."""
    forge = LocalForge(project)
    (author / "README.md").write_text("Oops\n")
    git(author, "commit", "--quiet", "--all", "-m", "Not of the method")
    oops = git(author, "rev-parse", "HEAD")
    change = propose(forge, author)
    git(author, "cherry-pick", oops)
    git(author, "revert", "--no-edit", "HEAD")
    people.push(forge, author, change.number)
    work.once()
    assert work.workspaces.numbers() == [change.number]
    other = propose(forge, author, "other")
    stage.cells = [cell("digits-mlp", slug, "missing") for slug in ("new", "other")]
    people.merge(forge, change.number, how=how)
    people.merge(forge, other.number, how=how)
    work.budget = 0
    work.once()
    assert stage.committed == ["new", "other"]
    assert work.workspaces.numbers() == []


def test_where_records_are_signed_a_runner_without_a_key_publishes_none(
    work: Runner, stage: Stage, project: Path, author: Path, lines: Lines
) -> None:
    """No site would be built of them. Nothing is lost: the change is published once there is a key."""
    forge = LocalForge(project)
    change = propose(forge, author)
    work.once()
    git(author, "checkout", "--quiet", "--force", "--detach", "origin/main")
    (author / "results").mkdir()
    (author / "results" / "allowed_signers").write_text("runner ssh-ed25519 AAAA\n")
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", "Records are signed")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    people.merge(forge, change.number)
    stage.cells = [cell("digits-mlp", "new", "missing")]
    work.budget = 0
    assert work.once()
    assert (work.failed, stage.measured, stage.committed, work.workspaces.numbers()) == (True, [], [], [change.number])
    assert [line["change"] for line in lines.seen_of("this runner has no key")] == [change.number]
    work.key = project
    assert work.once()
    assert (work.failed, stage.committed) == (False, ["new"])


def test_a_measured_change_has_one_preview_until_it_is_decided(
    work: Runner, stage: Stage, project: Path, author: Path, lines: Lines
) -> None:
    forge = LocalForge(project)
    change = approved(forge, author)
    stage.progress = Progress(3, 3, None)
    work.once()
    preview = work.home / "previews" / str(change.number)
    assert [given[:2] for given in stage.done] == [("promote", "new"), ("site", "build")]
    work.once()
    assert len(stage.done) == 2
    assert [line["change"] for line in lines.of("measured before; waits for a merge")] == [change.number]
    shutil.rmtree(preview)
    work.once()
    assert len(stage.done) == 4, "it is made again where it is gone"
    people.merge(forge, change.number)
    work.once()
    assert not preview.exists()
    preview.mkdir()
    work.once()
    assert not preview.exists(), "whatever an earlier runner left"


def test_what_one_runner_has_decided_another_leaves_alone(
    work: Runner, stage: Stage, project: Path, author: Path, tmp_path: Path, lines: Lines
) -> None:
    """It has neither the verdict nor the records; the forge has what came of them, for this commit and this evaluator. What
    was found sound and waits is not tried again either."""
    forge = LocalForge(project)
    change = approved(forge, author)
    propose(forge, author, "waits")
    stage.progress = Progress(3, 3, None)
    work.once()
    told = forge.comments(change)
    clone = Clone(tmp_path / "another" / "clone.git", str(project))
    another = replace(
        work, workspaces=Workspaces(clone, tmp_path / "another" / "work"), home=tmp_path / "another",
        lease=Lease(clone, "another"),
    )  # fmt: skip
    stage.asked.clear()
    another.once()
    assert "smoke" not in stage.asked
    assert len(lines.of("another runner has decided; waits for a push")) == 1
    assert forge.comments(change) == told
    git(author, "checkout", "--quiet", "--force", "--detach", "origin/main")
    for path, smoked in (("results/digits-mlp/other.jsonl", False), ("evaluator/scorer.py", True)):
        (author / path).parent.mkdir(parents=True, exist_ok=True)
        (author / path).write_text("")
        git(author, "add", "--all")
        git(author, "commit", "--quiet", "-m", "Main goes on")
        git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        another.once()
        assert ("smoke" in stage.asked) is smoked, "another evaluator may find something else, and nothing else does"
    people.merge(forge, change.number)
    stage.cells = [cell("digits-mlp", "new", "missing")]
    (another.workspaces.of(change.number).state / "measured").unlink()
    another.once()
    assert (len(lines.of("another runner has measured it, and is waited for")), stage.committed) == (1, [])
    stage.time = time.time() + 25 * HOUR
    another.once()
    assert stage.committed == ["new"], "but not for ever"


def test_a_site_that_cannot_be_published_does_not_keep_from_open_changes(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """The pass says that something of main's failed, and the next runner need not wait for the lease."""
    forge = LocalForge(project)
    change = propose(forge, author)
    work.target = Command("/bin/false", Folder(work.home / "published"))
    assert work.once()
    assert work.failed
    assert lines.of("/bin/false: it ended with 1: it said nothing")
    assert forge.status(change) is not None
    assert work.lease.holder() is None
    work.target = None
    assert work.once()
    assert not work.failed


@pytest.mark.parametrize("source", ["https://example.org/somebody/espalier", ""])
def test_a_site_is_told_where_it_and_the_project_are(work: Runner, stage: Stage, tmp_path: Path, source: str) -> None:
    work.target, work.url, work.source = Folder(tmp_path / "public"), "https://example.org/", source
    assert work.once()
    [given] = [given for given in stage.done if given[:2] == ("site", "build")]
    assert given[given.index("--url") + 1] == work.url
    assert given.count("--source") == bool(source)
    assert not source or given[given.index("--source") + 1] == source


@pytest.mark.parametrize("way", ["folder", "branch", "program"])
def test_a_site_that_does_not_say_what_the_records_say_leaves_the_one_before(
    work: Runner, stage: Stage, project: Path, author: Path, tmp_path: Path, lines: Lines, way: str
) -> None:
    """In its place, wherever that is; the pass has failed, says why, and the next tries again."""
    public, program = tmp_path / "public", tmp_path / "publish"
    program.write_text(f'#!/bin/sh\nmkdir -p {public}; cp "$1/index.html" {public}\n')
    program.chmod(0o755)
    ways: dict[str, Target] = {
        "folder": Folder(public),
        "branch": Branch(work.workspaces.clone, "pages"),
        "program": Command(str(program), Folder(tmp_path / "state")),
    }
    work.target = ways[way]

    def shown() -> str:
        return git(project, "show", "pages:index.html") if way == "branch" else (public / "index.html").read_text()

    kept: list[float] = []
    work.lease.keep = lambda: kept.append(stage.time) is None  # type: ignore[method-assign]
    assert work.once()
    assert shown() == "site 1"
    assert len(kept) > len(("build", "verify")), "the lease is kept all the while"
    git(author, "checkout", "--quiet", "--detach", "origin/main")
    git(author, "commit", "--quiet", "--allow-empty", "-m", "Main goes on")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    stage.problem = "index.html: 97 is in no record"
    for _ in range(2):
        assert work.once()
        assert work.failed
        assert shown() == "site 1"
    assert len(lines.of(stage.problem)) == 2
    stage.problem = ""
    assert work.once()
    assert (work.failed, shown()) == (False, "site 4")


def test_a_merge_that_was_not_fetched_yet_keeps_its_workspace(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured for it is published by the next pass."""
    forge = LocalForge(project)
    change = propose(forge, author)
    work.once()
    assert work.workspaces.numbers() == [change.number]
    people.merge(forge, change.number)
    with monkeypatch.context() as patch:
        patch.setattr(Clone, "open", lambda _: None)
        assert work.once()
    assert (work.failed, work.workspaces.numbers()) == (False, [change.number])
    work.once()
    assert work.workspaces.numbers() == []


def test_what_a_new_protocol_made_stale_waits_for_the_night(work: Runner, stage: Stage, project: Path, author: Path) -> None:
    """It was merged long ago, and the nights have a budget; what was never measured is."""
    forge = LocalForge(project)
    people.merge(forge, propose(forge, author).number)
    work.budget = 0
    stage.cells = [cell("digits-mlp", "new", "stale")]
    work.once()
    assert stage.measured == []
    stage.cells = [cell("digits-mlp", "new", "missing")]
    work.once()
    assert [slug for slug, *_ in stage.measured] == ["new"]
