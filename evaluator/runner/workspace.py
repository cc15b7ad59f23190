"""Folders in which the runner works: main as it is, and main with the submission of one change laid over it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evaluator.errors import ForgeError
from evaluator.repository import Repository
from evaluator.runner.changes import FOLDER
from evaluator.runner.git import MAIN, Clone


@dataclass(frozen=True)
class Workspaces:
    """A folder for main and one for each change. What was measured stays in each (`.espalier`), outside git."""

    clone: Clone
    folder: Path

    @property
    def main(self) -> Repository:
        return Repository(self.folder / MAIN)

    def of(self, number: int) -> Repository:
        """The one of a change, there or not."""
        return Repository(self.folder / f"change-{number}")

    def numbers(self) -> list[int]:
        """The changes that have one."""
        found = (path.name.removeprefix("change-") for path in self.folder.glob("change-*"))
        return sorted(int(name) for name in found if name.isdecimal())

    def update_main(self) -> Repository:
        """Main as it was fetched last."""
        self._check_out(self.main.root)
        return self.main

    def prepare(self, number: int, head: str, slug: str) -> Repository:
        """Main, with the files that ``head`` has for one submission; that they are plain was checked."""
        repository = self.of(number)
        self._check_out(repository.root)
        shutil.rmtree(repository.submissions / slug, ignore_errors=True)
        for entry in self.clone.files(head, f"{FOLDER}/{slug}"):
            parts = PurePosixPath(entry.path).parts
            if ".." in parts or parts[:2] != (FOLDER, slug):
                raise ForgeError(f"a path that leaves the submission: {entry.path!r}", where=f"change {number}")
            path = repository.root.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.clone.read(entry.blob))
        return repository

    def remove(self, number: int) -> None:
        """With all that was measured in it."""
        shutil.rmtree(self.of(number).root, ignore_errors=True)
        self.clone.git("worktree", "prune")

    def _check_out(self, root: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (root / ".git").exists():
            shutil.rmtree(root, ignore_errors=True)
            self.clone.git("worktree", "prune")
            self.clone.git("worktree", "add", "--quiet", "--force", "--detach", str(root), MAIN)
        self._share_cache(Repository(root))
        self.clone.git("reset", "--quiet", "--hard", f"refs/heads/{MAIN}", folder=root)
        self.clone.git("clean", "--quiet", "-ffdx", "--", FOLDER, "results", folder=root)

    def _share_cache(self, repository: Repository) -> None:
        """All is kept by its digest: a preview draws only what is new, a sandbox compiles only our code."""
        shared = self.folder / repository.cache.name
        shared.mkdir(exist_ok=True)
        repository.state.mkdir(exist_ok=True)
        if not repository.cache.is_symlink():
            shutil.rmtree(repository.cache, ignore_errors=True)
            repository.cache.symlink_to(shared)
