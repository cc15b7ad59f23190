"""Where a site goes: a folder, a branch or a program; each once for a commit, and none sees the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.records import Store
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.git import Clone
from evaluator.runner.publication import adopt, commit_records
from evaluator.runner.targets import RARELY, RELEASES, SCRIPT, Branch, Command, Folder, PublishError, Target
from evaluator.runner.workspace import Workspaces
from tests.miniature import ROOT
from tests.runner.project import TOKEN, git


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "static").mkdir(parents=True)
    (folder / "index.html").write_text("first")
    (folder / "static" / "heartbeat.js").write_text("((seen) => {})(0);\n")
    return folder


def test_main_adopts_what_it_has_not_measured_later_itself(tmp_path: Path) -> None:
    """Once, however often: a restart must not bring back what was stale and is measured anew."""
    first, second, *_ = Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values()
    change, main = Repository(tmp_path / "change"), Repository(tmp_path / "main")
    Store(change.local).add([first, second])
    (change.artifacts / "ab").mkdir(parents=True)
    (change.artifacts / "ab" / "abcd").touch()
    later = first.model_copy(update={"created": "2099-01-01T00:00:00+00:00", "log": "anew"})
    Store(main.local).add([first.model_copy(update={"created": "1999-01-01T00:00:00+00:00", "log": "old"})])
    adopt(change, main)
    assert {record.identity: record for record in Store(main.local)} == {one.identity: one for one in (first, second)}
    assert (main.artifacts / "ab" / "abcd").exists()
    Store(main.local).add([later])
    adopt(change, main)
    assert {record.log for record in Store(main.local)} == {"anew", second.log}


def test_records_go_to_a_main_that_moved_meanwhile(
    clone: Clone, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pushes between the fetch and the push; once, as people do."""
    workspaces, author = Workspaces(clone, tmp_path / "work"), tmp_path / "author"
    results = workspaces.update_main().published

    def promote(*_: object, **__: object) -> None:
        if not (author / "NEWS").exists():
            (author / "NEWS").write_text("Meanwhile\n")
            git(author, "add", "--all")
            git(author, "commit", "--quiet", "-m", "Meanwhile")
            git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        results.mkdir(exist_ok=True)
        (results / "new.jsonl").write_text("{}\n")

    monkeypatch.setattr(stages, "do", promote)
    assert commit_records(workspaces, "new", "Records of new", None)
    names = git(project, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert {"NEWS", "results/new.jsonl"} <= {*names}
    assert clone.main == git(project, "rev-parse", "main")
    assert not commit_records(workspaces, "new", "Records of new", None)


def test_a_folder_changes_in_one_step_and_keeps_a_few_releases(site: Path, tmp_path: Path) -> None:
    target = Folder(tmp_path / "public")
    for number in range(RELEASES + 2):
        (site / "index.html").write_text(str(number))
        assert not target.shows(f"commit{number}")
        target.publish(site, f"commit{number}")
        assert target.shows(f"commit{number}")
        assert (target.path / "index.html").read_text() == str(number)
    assert len(list((tmp_path / "public.releases").iterdir())) == RELEASES
    target.beat(1_800_000_000)
    assert (target.path / "static" / "heartbeat.js").read_text() == "((seen) => {})(1800000000);\n"


def test_a_folder_of_somebody_else_is_left_alone(site: Path, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "theirs").touch()
    with pytest.raises(PublishError, match="no link of ours"):
        Folder(tmp_path / "public").publish(site, "commit")
    assert (tmp_path / "public" / "theirs").exists()


def test_a_branch_holds_the_site_and_nothing_else(site: Path, clone: Clone, project: Path, monkeypatch) -> None:
    monkeypatch.setenv("ESPALIER_FORGE_TOKEN", TOKEN)
    target = Branch(clone, "pages")
    assert not target.shows("commit1")
    target.publish(site, "commit1")
    (site / "index.html").write_text("second")
    target.publish(site, "commit2")
    assert target.shows("commit2")
    assert not target.shows("commit1")
    names = git(project, "ls-tree", "-r", "--name-only", "pages").splitlines()
    assert names == [".nojekyll", "index.html", "static/heartbeat.js"]
    assert git(project, "show", "pages:index.html") == "second"
    assert len(git(project, "log", "--format=%H", "pages").splitlines()) == 2
    assert git(project, "ls-tree", "--name-only", "main").splitlines() == ["README.md", "evaluator", "submissions"]


def test_a_program_is_called_once_for_a_commit_and_without_the_token(site: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ESPALIER_FORGE_TOKEN", TOKEN)
    program = tmp_path / "publish"
    program.write_text(f'#!/bin/sh\nenv > {tmp_path}/seen\necho "$1 $2" > {tmp_path}/called\n')
    program.chmod(0o755)
    target = Command(str(program), Folder(tmp_path / "state"))
    target.publish(site, "commit1")
    assert (tmp_path / "called").read_text() == f"{site} commit1\n"
    assert TOKEN not in (tmp_path / "seen").read_text()
    assert target.shows("commit1")
    program.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    with pytest.raises(PublishError, match="ended with 3: no room"):
        target.publish(site, "commit2")
    assert not target.shows("commit2")


@pytest.mark.parametrize("way", ["branch", "program"])
def test_where_a_sign_of_life_is_a_publication_there_is_one_an_hour(
    site: Path, clone: Clone, project: Path, tmp_path: Path, way: str
) -> None:
    """The site is the same else; a branch has one commit for the last of them, a program is called for the same commit."""
    program, shown, calls = tmp_path / "publish", tmp_path / "shown", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\nrm -rf {shown}; cp -r "$1" {shown}; echo "$2" >> {calls}\n')
    program.chmod(0o755)
    target: Target = Branch(clone, "pages") if way == "branch" else Command(str(program), Folder(tmp_path / "state"))

    def said(name: str = SCRIPT) -> str:
        return git(project, "show", f"pages:{name}") if way == "branch" else (shown / name).read_text().strip()

    def number() -> int:
        log = git(project, "log", "--format=%H", "pages") if way == "branch" else calls.read_text()
        return len(log.splitlines())

    target.beat(1)  # before there is a site
    (site / SCRIPT).write_text("((seen) => {})(1000);\n")
    target.publish(site, "commit1")
    target.beat(1000 + RARELY - 1)
    assert (said(), number()) == ("((seen) => {})(1000);", 1)
    for hours in (1, 2, 3):
        target.beat(1000 + hours * RARELY)
        assert said() == f"((seen) => {{}})({1000 + hours * RARELY});"
        assert (said("index.html"), target.shows("commit1")) == ("first", True)
    assert number() == (2 if way == "branch" else 4)
    (site / SCRIPT).write_text("((seen) => {})(20000);\n")
    (site / "index.html").write_text("second")
    target.publish(site, "commit2")
    target.beat(20001)
    assert (said(), said("index.html"), target.shows("commit2")) == ("((seen) => {})(20000);", "second", True)
    if way == "branch":
        assert git(project, "log", "--format=%s", "pages").splitlines() == [
            "Site of commit2",
            "Seen again",
            "Site of commit1",
        ]
    else:
        assert calls.read_text().split() == ["commit1"] * 4 + ["commit2"]


def test_the_next_site_gets_the_snapshots_of_the_present_one(
    site: Path, clone: Clone, project: Path, tmp_path: Path
) -> None:
    """From wherever it went; before the first publication there are none."""
    (site / "data").mkdir()
    snapshot = site / "data" / "espalier-2026-01-02-0123456789ab.zip"
    snapshot.write_bytes(b"\0cited")
    (site / "data" / "records.csv").touch()
    program = tmp_path / "publish"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    targets = (Folder(tmp_path / "public"), Branch(clone, "pages"), Command(str(program), Folder(tmp_path / "state")))
    for number, target in enumerate(targets):
        carried = tmp_path / f"carried{number}"
        carried.mkdir()
        target.snapshots(carried)
        assert list(carried.iterdir()) == []
        target.publish(site, "commit")
        target.snapshots(carried)
        assert [(path.name, path.read_bytes()) for path in carried.iterdir()] == [(snapshot.name, b"\0cited")]
