"""Which changes are a runner's to evaluate: one submission of plain small files, and nothing beside it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.errors import ForgeError
from evaluator.forges import LocalForge
from evaluator.runner.changes import Refused, submission_of
from evaluator.runner.git import MOST_FETCHED, Clone
from evaluator.runner.workspace import Workspaces
from tests.runner.project import git

Edit = Callable[[Path], object]


def proposed(clone: Clone, author: Path, edit: Edit) -> str:
    """The commit of a change that does ``edit``, fetched."""
    edit(author)
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "--allow-empty", "-m", "A change")
    git(author, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/1/head")
    return clone.fetch(clone.url, "refs/pull/1/head", "refs/espalier/changes/1")


def write(name: str, text: str | bytes = "x = 1\n") -> Edit:
    def edit(author: Path) -> None:
        path = author / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return edit


def both(*edits: Edit) -> Edit:
    return lambda author: [edit(author) for edit in edits]


@pytest.fixture
def author(tmp_path: Path, project: Path) -> Path:
    return tmp_path / "author"


@pytest.mark.parametrize("slug", ["new", "old"])
def test_a_new_and_a_changed_submission(clone: Clone, author: Path, slug: str) -> None:
    head = proposed(clone, author, write(f"submissions/{slug}/method.py", "new = 1\n"))
    assert submission_of(clone, head) == slug


def test_what_main_got_meanwhile_is_not_the_change(clone: Clone, author: Path) -> None:
    head = proposed(clone, author, write("submissions/new/method.py"))
    git(author, "checkout", "--quiet", "--force", "--detach", "origin/main")
    write("README.md", "Another\n")(author)
    git(author, "commit", "--quiet", "-am", "Main goes on")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    clone.open()
    assert submission_of(clone, head) == "new"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (both(write("submissions/new/method.py"), write("evaluator/scorer.py")), "a submission: evaluator/scorer.py"),
        (write("README.md", "mine\n"), "more than a submission: README.md"),
        (write("submissions/method.py"), "more than a submission: submissions/method.py"),
        (write("submissions/Not A Slug/method.py"), "more than a submission"),
        (write("submissions/-/method.py"), "more than a submission"),
        (write("submissions/new-/method.py"), "more than a submission"),
        (both(write("submissions/one/method.py"), write("submissions/two/method.py")), "several submissions: one, two"),
        (lambda author: (author / "submissions/old/method.py").unlink(), "removes submissions/old"),
        (lambda author: None, "changes nothing"),
        (write("submissions/new/large.bin", b"x" * 300_000), "at most 256 kB"),
        (both(*(write(f"submissions/new/{number}.py") for number in range(30))), "this one has 30"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_says_why(clone: Clone, author: Path, edit: Edit, message: str) -> None:
    with pytest.raises(Refused, match=message):
        submission_of(clone, proposed(clone, author, edit))


def test_links_and_repositories_are_refused(clone: Clone, author: Path) -> None:
    def link(checkout: Path) -> None:
        (checkout / "submissions/new").mkdir()
        (checkout / "submissions/new/method.py").symlink_to("/etc/passwd")

    with pytest.raises(Refused, match="no links"):
        submission_of(clone, proposed(clone, author, link))


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["deep"] * 50), "\u202e", "two\nlines"])
def test_names_that_no_file_system_or_reader_takes_are_refused(clone: Clone, author: Path, name: str) -> None:
    """They are in git alone: who proposes them need not be able to write them either."""
    blob = git(author, "hash-object", "-w", "README.md")
    git(author, "update-index", "--add", "--cacheinfo", f"100644,{blob},submissions/new/{name}")
    git(author, "commit", "--quiet", "-m", "A change")
    git(author, "push", "--quiet", "origin", "HEAD:refs/pull/1/head")
    head = clone.fetch(clone.url, "refs/pull/1/head", "refs/espalier/changes/1")
    with pytest.raises(Refused, match="plain names: submissions/new/"):
        submission_of(clone, head)


@pytest.mark.parametrize("place", ["submissions/new", "elsewhere"])
def test_a_few_trees_that_name_files_without_end_are_refused(clone: Clone, author: Path, place: str) -> None:
    """A hundred in each of ten folders that hold each other: more than there is memory for."""
    blob = git(author, "hash-object", "-w", "README.md")
    entry = f"100644 blob {blob}"
    for _ in range(10):
        lines = "".join(f"{entry}\t{number:02}\n" for number in range(100))
        made = subprocess.run(["git", "mktree"], cwd=author, input=lines, capture_output=True, text=True, check=True)
        entry = f"040000 tree {made.stdout.strip()}"
    for part in reversed(place.split("/")):
        line = f"{entry}\t{part}\n"
        made = subprocess.run(["git", "mktree"], cwd=author, input=line, capture_output=True, text=True, check=True)
        entry = f"040000 tree {made.stdout.strip()}"
    head = git(author, "commit-tree", made.stdout.strip(), "-p", "origin/main", "-m", "A bomb")
    git(author, "push", "--quiet", "origin", f"{head}:refs/pull/1/head")
    head = clone.fetch(clone.url, "refs/pull/1/head", "refs/espalier/changes/1", MOST_FETCHED)
    with pytest.raises(Refused, match="more files than can be listed"):
        submission_of(clone, head)


def test_a_history_of_its_own_is_refused(clone: Clone, author: Path) -> None:
    git(author, "checkout", "--quiet", "--orphan", "apart")
    with pytest.raises(Refused, match="no history"):
        submission_of(clone, proposed(clone, author, write("submissions/new/method.py")))


def test_a_workspace_is_main_with_the_submission_over_it(clone: Clone, author: Path, tmp_path: Path) -> None:
    head = proposed(clone, author, write("submissions/old/method.py", "changed = 1\n"))
    workspaces = Workspaces(clone, tmp_path / "work")
    repository = workspaces.prepare(1, head, "old")
    assert (repository.root / "README.md").read_text() == "A project\n"
    assert (repository.submissions / "old" / "method.py").read_text() == "changed = 1\n"
    (repository.state / "kept").touch()
    (repository.submissions / "old" / "left").touch()
    (repository.submissions / "before").mkdir()
    (repository.submissions / "before" / ".gitignore").write_text("*\n")  # as an earlier push may have had it
    again = proposed(clone, author, write("submissions/old/method.py", "again = 1\n"))
    workspaces.prepare(1, again, "old")
    assert (repository.submissions / "old" / "method.py").read_text() == "again = 1\n"
    assert [path.name for path in repository.submissions.rglob("*")] == ["old", "method.py"]
    assert (repository.state / "kept").exists(), "what was measured stays"
    main = workspaces.update_main()
    assert (main.submissions / "old" / "method.py").read_text() == "old = 1\n"
    assert main.cache.resolve() == repository.cache.resolve(), "a chart is drawn once for all"
    workspaces.remove(1)
    assert workspaces.numbers() == []


def test_a_kill_at_any_moment_leaves_nothing_that_blocks(clone: Clone, author: Path, tmp_path: Path) -> None:
    """Locks of a git that was killed, in the clone, of a workspace, of the forge; and a workspace that is half there."""
    workspaces = Workspaces(clone, tmp_path / "work")
    main = workspaces.update_main()
    write("README.md", "Another\n")(author)
    git(author, "commit", "--quiet", "-am", "Main goes on")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    (clone.folder / "refs" / "heads" / "main.lock").touch()
    for name in ("HEAD.lock", "packed-refs.lock", "worktrees/main/index.lock", "worktrees/main/HEAD.lock"):
        (clone.folder / name).touch()
    main.cache.unlink()
    (main.root / "README.md").unlink()
    forges = [Path(clone.url) / "refs" / "heads" / f"{name}.lock" for name in ("old", "new")]
    for lock in forges:
        lock.touch()
    os.utime(forges[0], (0, 0))
    LocalForge(Path(clone.url))
    assert [lock.exists() for lock in forges] == [False, True], "somebody may be at work"
    clone.open()
    assert (workspaces.update_main().root / "README.md").read_text() == "Another\n"
    assert main.cache.is_symlink()


def test_git_is_not_waited_for_without_end(clone: Clone) -> None:
    with pytest.raises(ForgeError, match=r"did not end within 0\.1 s"):
        clone.run("-c", "alias.hang=!exec sleep 60", "hang", limit=0.1)


def test_git_sees_no_secret_of_ours(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_FORGE_TOKEN", "secret")
    shown = clone.run("-c", "alias.shown=!env", "shown", check=True).stdout
    assert b"PATH=" in shown
    assert b"secret" not in shown
