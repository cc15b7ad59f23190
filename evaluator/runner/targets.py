"""Where a site goes: a folder, a branch, or wherever a program puts it. Each is replaced in one step, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from evaluator.canonical import write_atomically
from evaluator.errors import EspalierError
from evaluator.forges.token import VARIABLE
from evaluator.runner import stages
from evaluator.runner.git import Clone

RELEASES = 3
"""How many published sites are kept, the present one with them."""
SNAPSHOTS = "data/espalier-*.zip"
"""Where a site has the data of a day that others may have cited."""
SCRIPT = "static/heartbeat.js"
"""Shows in the footer of every page when a runner was last seen; its end is the time."""
RARELY = 3600
"""Seconds between two signs of life where each is as much as a publication."""
SEEN = "Seen again"
"""First line of a commit that changes nothing else."""

Duty = Callable[[], None]


def _nothing() -> None:
    pass


class PublishError(EspalierError):
    """The site could not be published; the one that was there before still is."""


def beat(site: Path, seconds: int) -> None:
    """Let a site say when a runner was last seen."""
    script = site / SCRIPT
    if script.is_file():
        write_atomically(script, _beaten(script.read_bytes(), seconds))


def _beaten(script: bytes, seconds: int) -> bytes:
    return re.sub(rb"\(\d+\);\s*$", b"(%d);\n" % seconds, script)


def _is_due(script: bytes, seconds: int) -> bool:
    """Whether what it says is long ago."""
    said = re.search(rb"\((\d+)\);\s*$", script)
    return said is not None and seconds - int(said[1]) >= RARELY


@dataclass(frozen=True)
class Folder:
    """A site in a folder that a web server shows: a link that points to the release of the day."""

    path: Path

    def shows(self, commit: str) -> bool:
        return self.path.is_symlink() and self.path.resolve().name == commit

    def snapshots(self, folder: Path) -> None:
        """Copy those of the present site, to be carried over into the next one."""
        _copy(self.path.glob(SNAPSHOTS), folder)

    def beat(self, seconds: int, meanwhile: Duty = _nothing) -> None:  # noqa: ARG002 (it takes no time)
        """Say in the footer of the pages when the runner was last seen."""
        beat(self.path, seconds)

    def publish(self, site: Path, commit: str, meanwhile: Duty = _nothing) -> None:
        """Raises PublishError where something else than such a link is there."""
        if self.path.exists() and not self.path.is_symlink():
            raise PublishError("this is no link of ours", where=self.path, fix="name a place where nothing is yet")
        releases = self.path.with_name(f"{self.path.name}.releases")
        release = releases / commit
        if not release.is_dir():
            releases.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=releases, prefix=".") as folder:
                shutil.copytree(site, Path(folder) / "site")
                (Path(folder) / "site").rename(release)
        meanwhile()
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".") as folder:
            link = Path(folder) / "link"
            link.symlink_to(release.relative_to(self.path.parent))
            link.replace(self.path)
        old = sorted((path for path in releases.iterdir() if path != release), key=lambda path: path.stat().st_mtime)
        for path in old[: -(RELEASES - 1)]:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Branch:
    """A site as the only content of a branch, as forges show it: each publication is one commit."""

    clone: Clone
    name: str

    def shows(self, commit: str) -> bool:
        head = self._head()
        return head is not None and self.clone.git("log", "-1", "--format=%B", head).endswith(commit)

    def snapshots(self, folder: Path) -> None:
        """As those of a :class:`Folder`."""
        head = self._head()
        for entry in self.clone.files(head, "data") if head else ():
            if entry.mode == "100644" and Path(entry.path).match(SNAPSHOTS):
                (folder / Path(entry.path).name).write_bytes(self.clone.read(entry.blob))

    def _head(self) -> str | None:
        """The branch as it is in the project now, if there is one."""
        there = self.clone.git("ls-remote", self.clone.url, self._ref)
        return self.clone.fetch(self.clone.url, self._ref, self._ref) if there else None

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def beat(self, seconds: int, meanwhile: Duty = _nothing) -> None:
        """As that of a :class:`Folder`, once in a while: by a commit, in place of the one before that says no more."""
        if not _is_due(self.clone.show(self._ref, SCRIPT), seconds) or (head := self._head()) is None:
            return
        script = self.clone.show(head, SCRIPT)
        if not _is_due(script, seconds):
            return  # another runner has said it
        with tempfile.TemporaryDirectory() as folder:
            new, index = Path(folder) / "new", Path(folder) / "index"
            new.write_bytes(_beaten(script, seconds))
            blob = self.clone.git("hash-object", "-w", str(new))
            self.clone.run("read-tree", head, check=True, index=index)
            self.clone.run("update-index", "--cacheinfo", f"100644,{blob},{SCRIPT}", check=True, index=index)
            tree = self.clone.run("write-tree", check=True, index=index).stdout.decode().strip()
        message = self.clone.git("log", "-1", "--format=%B", head)
        parents = self.clone.git("log", "-1", "--format=%P", head).split() if message.startswith(SEEN) else [head]
        given = [option for parent in parents for option in ("-p", parent)]
        made = self.clone.git("commit-tree", tree, *given, "-m", SEEN, "-m", message.splitlines()[-1])
        meanwhile()
        lease = f"--force-with-lease={self._ref}:{head}"
        self.clone.git("push", "--quiet", "--no-verify", lease, self.clone.url, f"{made}:{self._ref}")
        self.clone.git("update-ref", self._ref, made)

    def publish(self, site: Path, commit: str, meanwhile: Duty = _nothing) -> None:
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            place = ("--git-dir", str(self.clone.folder), "--work-tree", str(site))
            (site / ".nojekyll").touch()
            self.clone.run(*place, "add", "--all", "--force", ".", check=True, folder=site, index=index)
            tree = self.clone.run(*place, "write-tree", check=True, folder=site, index=index).stdout.decode().strip()
        head = self._head()
        parents = ("-p", head) if head else ()
        made = self.clone.git("commit-tree", tree, *parents, "-m", f"Site of {commit}")
        meanwhile()
        self.clone.git("push", "--quiet", "--no-verify", self.clone.url, f"{made}:{self._ref}")
        self.clone.git("update-ref", self._ref, made)


@dataclass(frozen=True)
class Command:
    """A program of the maintainer's that puts the site where it belongs; it gets the folder and the commit as arguments.

    Args:
        kept: what it was called for last: the site may be anywhere by now, and is needed again.
    """

    program: str
    kept: Folder

    def shows(self, commit: str) -> bool:
        return self.kept.shows(commit)

    def snapshots(self, folder: Path) -> None:
        """As those of a :class:`Folder`."""
        self.kept.snapshots(folder)

    def beat(self, seconds: int, meanwhile: Duty = _nothing) -> None:
        """As that of a :class:`Folder`, once in a while: the program is called for the same site again."""
        script = self.kept.path / SCRIPT
        if script.is_file() and _is_due(script.read_bytes(), seconds):
            self.kept.beat(seconds)
            self._call(self.kept.path.resolve(), self.kept.path.resolve().name, meanwhile)

    def publish(self, site: Path, commit: str, meanwhile: Duty = _nothing) -> None:
        self._call(site, commit, meanwhile)
        self.kept.publish(site, commit)

    def _call(self, site: Path, commit: str, meanwhile: Duty) -> None:
        known = {name: value for name, value in os.environ.items() if name != VARIABLE}
        done = stages.run([self.program, str(site), commit], known, None, meanwhile)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            raise PublishError(f"it ended with {done.returncode}: {said[-1]}", where=self.program)


Target = Folder | Branch | Command


def _copy(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        if file.is_file() and not file.is_symlink():
            shutil.copyfile(file, folder / file.name)
