"""A project on a local forge, its people, and a runner: the true command line on a miniature."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from evaluator.forges import Change, LocalForge, people
from tests.miniature import MAGNITUDE, ROOT, Miniature, share

TOKEN = "espalier-token-8c1f0e"
"""Planted in the runner's environment; nothing that it writes may hold it."""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Project:
    """A bare repository with a miniature as main; ``author`` is somebody's clone of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        seed = Miniature(root / "seed")
        benchmarks = seed.read("benchmarks")
        benchmarks["digits-mlp"]["targets"] = {"unstructured": [8]}
        seed.write("benchmarks", benchmarks)
        seed.submit("largest")
        with_code(seed.root)
        (seed.root / ".gitignore").write_text(".espalier/\n__pycache__/\nresults/.lock\n")
        git(seed.root, "init", "--quiet", "--initial-branch=main")
        git(seed.root, "add", "--all")
        git(seed.root, "commit", "--quiet", "-m", "A miniature")
        self.forge: LocalForge = people.create(root / "forge.git", seed.root, maintainers=["maintainer"])
        git(root, "clone", "--quiet", str(self.forge.path), "author")
        self.author = root / "author"
        self.home = root / "runner"
        share(self.home / "work")
        self.site = root / "public"

    def propose(
        self, slug: str, body: str = MAGNITUDE, *, onto: int | None = None, also: dict[str, str] | None = None
    ) -> Change:
        """Open a change with one submission, or push it to change ``onto``; ``also`` are other files it touches."""
        git(self.author, "fetch", "--quiet", "origin")
        git(self.author, "checkout", "--quiet", "--force", "--detach", "origin/main")
        Miniature.submit(_At(self.author), slug, body)  # type: ignore[arg-type]
        for name, text in (also or {}).items():
            (self.author / name).parent.mkdir(parents=True, exist_ok=True)
            (self.author / name).write_text(text)
        git(self.author, "add", "--all")
        git(self.author, "commit", "--quiet", "-m", f"A method: {slug}")
        if onto is not None:
            return people.push(self.forge, self.author, onto)
        return people.open_change(self.forge, self.author, title=f"Add {slug}", author="somebody")

    def command(self, *options: str, home: Path | None = None) -> list[str]:
        where = ["--forge", str(self.forge.path), "--home", str(home or self.home), "--folder", str(self.site)]
        how = ["--once", "--poll", "1", "--workers", "1"]
        return [sys.executable, "-P", "-m", "evaluator", "runner", *where, *how, *options]

    def environment(self) -> dict[str, str]:
        return os.environ | {"ESPALIER_FORGE_TOKEN": TOKEN, "ESPALIER_ROOT": str(ROOT)}

    def run(self, *options: str) -> str:
        """One pass; what it told."""
        done = subprocess.run(self.command(*options), env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def start(self, *options: str, home: Path | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*options, home=home),
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def published(self) -> dict[str, list[str]]:
        """Lines of the records on main, by file below results/."""
        names = git(self.forge.path, "ls-tree", "-r", "--name-only", "main", "results/").splitlines()
        return {name: git(self.forge.path, "show", f"main:{name}").splitlines() for name in names if name.endswith(".jsonl")}

    def status(self, number: int) -> tuple[str, str]:
        status = self.forge.status(self.forge.change(number))
        return (status.state, status.description) if status else ("", "")

    def comment(self, number: int) -> str:
        return self.forge.comment(self.forge.change(number)) or ""

    def comments(self, number: int) -> list[Any]:
        return self.forge.comments(self.forge.change(number))


def with_code(checkout: Path) -> None:
    """The runner works with the code that main has, so main has it: ours, around the grid of the miniature."""
    code = shutil.ignore_patterns("*.yaml", "__pycache__")
    shutil.copytree(ROOT / "evaluator", checkout / "evaluator", ignore=code, dirs_exist_ok=True)
    for name in ("site", "templates"):
        (checkout / name).unlink()
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CONTRIBUTING.md", checkout)  # a page of the site


class _At:
    """What ``Miniature.submit`` needs of a miniature, for a checkout that is there."""

    def __init__(self, root: Path) -> None:
        self.root = root
