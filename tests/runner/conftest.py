from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.runner.git import Clone
from tests.runner.project import git


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A bare repository with one commit on main, and a checkout of it in ``tmp_path / "author"``."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "project.git")
    git(tmp_path, "clone", "--quiet", "project.git", "author")
    author = tmp_path / "author"
    (author / "submissions" / "old").mkdir(parents=True)
    (author / "submissions" / "old" / "method.py").write_text("old = 1\n")
    (author / "README.md").write_text("A project\n")
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", "Begin")
    git(author, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    return tmp_path / "project.git"


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "clone.git", str(project))
    clone.open()
    return clone
