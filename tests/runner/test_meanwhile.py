"""What comes while a runner is at something that takes long. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.forges import Change, LocalForge, Status, people
from evaluator.runner.runner import Runner
from evaluator.runner.stages import Progress
from evaluator.runner.targets import Folder
from tests.runner.project import git
from tests.runner.stage import Lines, Stage, approved, cell, measured, propose, silent


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
