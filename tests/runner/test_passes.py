"""One pass of a runner over open and merged changes, and what keeps it from one of them. Nothing is measured here."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluator.commands import runner as command
from evaluator.errors import EspalierError, ForgeError, Interrupted, SandboxError
from evaluator.forges import Change, DryRun, LocalForge, Source, Status, people
from evaluator.repository import Repository
from evaluator.runner import greeting, runner, stages, watch
from evaluator.runner.approved import UNMEASURED
from evaluator.runner.git import Clone
from evaluator.runner.greeting import UNTRIED, WALLED
from evaluator.runner.lease import Lease
from evaluator.runner.runner import HEARTBEAT, Runner
from evaluator.runner.stages import Progress
from evaluator.runner.targets import Branch, Command, Folder, Target
from evaluator.runner.workspace import Workspaces
from evaluator.sandbox import require, session
from tests.runner.project import git
from tests.runner.stage import HOUR, Lines, Stage, cell, propose


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return tmp_path / "author"


def approved(forge: LocalForge, author: Path) -> Change:
    """A change that a maintainer approved."""
    git(forge.path, "config", "--add", "espalier.maintainer", "maintainer")
    return people.approve(forge, propose(forge, author).number, "maintainer")


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


def test_how_far_it_is_stands_in_status_and_comment(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time that so many workers take; GitLab shows no other description of a status that is pending already."""
    forge = LocalForge(project)
    change = approved(forge, author)
    said: list[tuple[Status | None, str]] = []
    asked: list[tuple[str, ...]] = []

    def wait(_: float) -> bool:
        said.append((forge.status(change), forge.comment(change) or ""))
        return len(said) == 2

    def later(_: Progress, __: object, ___: str, options: tuple[str, ...]) -> Progress:
        asked.append(options)
        return Progress(1, 3, 7200.0)

    monkeypatch.setattr(stage, "wait", wait)
    monkeypatch.setattr(Progress, "later", later)
    work.workers = 3
    work.once()
    assert asked == [("--workers=3",)]
    (_, (status, comment)) = said
    assert status == Status("pending", "1/3 cells, about 2 h 00 min left")
    assert "### `new`: 1/3 cells, about 2 h 00 min left" in comment
    assert len(forge.comments(change)) == 1


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


def measured(*slugs: str) -> Callable[..., Progress]:
    """All that there is of these submissions, and nothing of others."""
    return lambda _, slug, __: Progress(int(slug in slugs), 1, None)


def test_what_comes_while_a_change_is_measured_does_not_wait_for_it(
    work: Runner, stage: Stage, project: Path, author: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """What is proposed or pushed is greeted, and how far the first is goes on being told. A forge that does not answer
    ends nothing; what is merged ends the evaluation, is published, and lets it go on."""
    forge = LocalForge(project)
    first, ready = approved(forge, author), propose(forge, author, "ready")
    opened, change = LocalForge.open_changes, LocalForge.change
    heads: list[Change] = []

    def come() -> None:
        heads.append(propose(forge, author, "later"))

    def push() -> None:
        git(author, "commit", "--quiet", "--allow-empty", "-m", "Again")
        heads.append(people.push(forge, author, heads[0].number))

    def answer(*how: Callable[..., Any]) -> None:
        for name, function in zip(("open_changes", "change"), how, strict=True):
            monkeypatch.setattr(LocalForge, name, function)

    def merge() -> None:
        answer(opened, change)
        people.merge(forge, ready.number)
        stage.cells = [cell("digits-mlp", "ready", "missing")]

    told = (Progress(number, 9, None) for number in range(9))
    monkeypatch.setattr(Progress, "of", measured("ready"))
    monkeypatch.setattr(Progress, "later", lambda *_: next(told))
    steps = iter([come, push, lambda: answer(silent, silent), merge])
    monkeypatch.setattr(stage, "wait", lambda _: (step := next(steps, None)) is None or step() is not None)
    assert work.once()
    assert {(forge.status(head) or Status("error", "")).description for head in heads} == {
        "checks passed; waits for a maintainer's approval"
    }
    assert [len(lines.of(f"{number}/9 cells")) for number in range(6)] == [1, 1, 1, 1, 1, 0], "in the middle of a smoke, too"
    assert (len(lines.of("it does not answer")), work.failed) == (2, False)
    assert [slug for slug, *_ in stage.measured] == ["new", "new"]
    assert (stage.committed, first.number in work.workspaces.numbers()) == (["ready"], True)


@pytest.mark.parametrize("at_work", ["sentinels", "site", "verify", "preview", "gc"])
def test_what_comes_while_something_else_is_at_work_does_not_wait_for_it_either(
    work: Runner, stage: Stage, project: Path, author: Path, at_work: str
) -> None:
    """Whatever takes minutes. In the folder of the change of which a preview is made nothing is moved."""
    forge = LocalForge(project)
    first = approved(forge, author)
    work.target = Folder(work.home / "public")
    stage.progress = Progress(0, 1, None) if at_work == "sentinels" else Progress(1, 1, None)
    said: dict[int, str] = {}

    def come(meanwhile: Callable[[], None]) -> None:
        there = [propose(forge, author, "later")]
        git(author, "commit", "--quiet", "--allow-empty", "-m", "Again")
        there.append(people.push(forge, author, first.number))
        stage.time += work.poll
        meanwhile()
        found = {change.number: forge.status(change) for change in there}
        said.update({number: status.description if status else "" for number, status in found.items()})

    stage.beside[at_work] = come
    assert work.once()
    greeted = "checks passed; waits for a maintainer's approval"
    assert said == {first.number: "" if at_work == "preview" else greeted, first.number + 1: greeted}


def test_what_was_greeted_meanwhile_has_its_turn_in_the_same_pass(
    work: Runner, stage: Stage, project: Path, author: Path
) -> None:
    forge = LocalForge(project)
    work.target = Folder(work.home / "public")
    change = approved(forge, author)
    assert work.once()
    assert [slug for slug, *_ in stage.measured] == ["new"]
    assert "smoke" in stage.asked[: stage.asked.index("sentinels")], "beside the site, which is built first"
    assert change.number in work.workspaces.numbers()


def test_what_is_pushed_while_the_sentinels_are_measured_is_not_measured_in_place_of_what_was_approved(
    work: Runner, stage: Stage, project: Path, author: Path
) -> None:
    """It was greeted meanwhile, and lies in the folder."""
    forge = LocalForge(project)
    change = approved(forge, author)

    def push(meanwhile: Callable[[], None]) -> None:
        (author / "submissions" / "new" / "method.py").write_text("evil = 1\n")
        git(author, "commit", "--quiet", "--all", "-m", "Another")
        people.push(forge, author, change.number)
        stage.time += work.poll
        meanwhile()

    stage.beside["sentinels"] = push
    assert work.once()
    assert stage.measured == []


def silent(*_: object) -> None:
    raise ForgeError("it does not answer")


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


def test_what_no_record_names_is_collected_once_a_day(work: Runner, stage: Stage) -> None:
    """And from the clone what nothing leads to: the leases of before."""
    for hours in (0, 23, 2):
        stage.time += hours * HOUR
        work.once()
    assert stage.asked.count("gc") == 2
    assert git(work.workspaces.clone.folder, "count-objects") == "0 objects, 0 kilobytes"


def test_what_the_forge_has_no_more_is_forgotten_and_measured_no_more(
    work: Runner, stage: Stage, project: Path, author: Path, lines: Lines
) -> None:
    """Spam goes without being closed; the others are swept all the same."""
    forge = LocalForge(project)
    spam, kept = approved(forge, author), propose(forge, author, "kept")

    def remove(_: float) -> bool:
        for name in ("head", "change"):
            git(project, "update-ref", "-d", f"refs/pull/{spam.number}/{name}")
        return False

    stage.wait = remove  # type: ignore[method-assign]
    assert work.once()
    assert [line["change"] for line in lines.of("the change has moved on")] == [spam.number]
    assert (work.failed, work.workspaces.numbers()) == (False, [kept.number])
    refs = git(work.workspaces.clone.folder, "for-each-ref", "--format=%(refname)", "refs/espalier/changes/")
    assert refs == f"refs/espalier/changes/{kept.number}"


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
