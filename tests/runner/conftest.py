from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.forges import LocalForge
from evaluator.grid import Grid, load_grid
from evaluator.runner import runner, stages, watch
from evaluator.runner.git import Clone
from evaluator.runner.lease import Lease
from evaluator.runner.runner import Runner
from evaluator.runner.stages import Progress
from evaluator.runner.workspace import Workspaces
from tests.miniature import ROOT
from tests.runner.project import git
from tests.runner.stage import HOUR, Lines, Stage


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A bare repository with one commit on main, and a checkout of it in ``tmp_path / "author"``."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "project.git")
    git(tmp_path, "clone", "--quiet", "project.git", "author")
    author = tmp_path / "author"
    (author / "submissions" / "old").mkdir(parents=True)
    (author / "submissions" / "old" / "method.py").write_text("old = 1\n")
    (author / "evaluator").mkdir()
    (author / "evaluator" / "scorer.py").write_text("one = 1\n")
    (author / "README.md").write_text("A project\n")
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", "Begin")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    return tmp_path / "project.git"


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return tmp_path / "author"


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "clone.git", str(project))
    clone.open()
    return clone


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid(ROOT / "evaluator" / "grid")


@pytest.fixture
def lines() -> Iterator[Lines]:
    log, handler = logging.getLogger("espalier.runner"), Lines()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, grid: Grid) -> Stage:
    made = Stage()
    monkeypatch.setattr(runner, "require", lambda: None)
    monkeypatch.setattr(stages, "ask", made.ask)
    monkeypatch.setattr(stages, "do", made.do)
    monkeypatch.setattr(watch, "Evaluation", made.evaluation)
    monkeypatch.setattr(runner, "commit_records", made.commit)
    monkeypatch.setattr(runner, "load_grid", lambda _: grid)
    monkeypatch.setattr(runner, "gpus", lambda _: 2)
    for name in ("of", "later"):
        monkeypatch.setattr(Progress, name, lambda *_: made.progress)
    return made


@pytest.fixture
def work(stage: Stage, clone: Clone, project: Path, tmp_path: Path) -> Runner:
    (tmp_path / "home").mkdir()
    return Runner(
        LocalForge(project), Workspaces(clone, tmp_path / "work"), Lease(clone, "me"), tmp_path / "home",
        budget=4 * HOUR, now=lambda: stage.time,
    )  # fmt: skip
