"""After a merge: records to main, signed; then the whole site, built, verified, and put in place in one step."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from evaluator.canonical import write_atomically
from evaluator.errors import EspalierError, ForgeError
from evaluator.forges.token import VARIABLE
from evaluator.records import Store
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.git import MAIN, Clone
from evaluator.runner.workspace import Workspaces

RELEASES = 3
"""How many published sites are kept, the present one with them."""
SNAPSHOTS = "data/espalier-*.zip"
"""Where a site has the data of a day that others may have cited."""

Duty = Callable[[], None]


def _nothing() -> None:
    pass


class PublishError(EspalierError):
    """The site could not be published; the one that was there before still is."""


def commit_records(workspaces: Workspaces, slug: str, title: str, key: Path | None) -> bool:
    """Bring what main's workspace has measured of a submission to main; whether there was anything.

    Raises:
        ForgeError: main may not be pushed to, or moved twice meanwhile; the next pass tries again.
    """
    try:
        made = _commit(workspaces, slug, title, key)
    except ForgeError as error:
        if not _pushed_away(error):
            raise
        workspaces.clone.open()
        workspaces.update_main()
        made = _commit(workspaces, slug, title, key)
    workspaces.update_main()
    return made


def _commit(workspaces: Workspaces, slug: str, title: str, key: Path | None) -> bool:
    repository, clone = workspaces.main, workspaces.clone
    stages.do(repository, "promote", slug, *(("--sign-with", str(key)) if key is not None else ()))
    clone.git("add", "--", "results", folder=repository.root)
    if not clone.git("status", "--porcelain", "--", "results", folder=repository.root):
        return False
    clone.git("commit", "--quiet", "--no-verify", "-m", title, "--", "results", folder=repository.root)
    made = clone.git("rev-parse", "HEAD", folder=repository.root)
    clone.git("push", "--quiet", "--no-verify", clone.url, f"{made}:refs/heads/{MAIN}", folder=repository.root)
    clone.fetch(clone.url, f"refs/heads/{MAIN}", f"refs/heads/{MAIN}")
    return True


def _pushed_away(error: ForgeError) -> bool:
    """Whether somebody else pushed to main first."""
    return "rejected" in str(error) or "fetch first" in str(error)


def adopt(change: Repository, main: Repository) -> None:
    """What was measured for a change is from now on what was measured for main: artifacts, prunings, and records, of which
    main keeps what it has measured later itself, as after a restart."""
    for source, target in ((change.artifacts, main.artifacts), (change.state / "prunings", main.state / "prunings")):
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_link)
    with (store := Store(main.local)).writing():
        known = {record.identity: record.created for record in store}
        store.add(record for record in Store(change.local) if record.created > known.get(record.identity, ""))


def _link(source: str, target: str) -> None:
    """A second name for the file where the file system allows it, else a copy; in place of what is there, in one step."""
    with tempfile.TemporaryDirectory(dir=Path(target).parent) as folder:
        new = Path(folder) / "new"
        try:
            os.link(source, new)
        except OSError:
            shutil.copy2(source, new)
        new.replace(target)


@dataclass(frozen=True)
class Folder:
    """A site in a folder that a web server shows: a link that points to the release of the day."""

    path: Path

    def shows(self, commit: str) -> bool:
        return self.path.is_symlink() and self.path.resolve().name == commit

    def snapshots(self, folder: Path) -> None:
        """Copy those of the present site, to be carried over into the next one."""
        _copy(self.path.glob(SNAPSHOTS), folder)

    def beat(self, seconds: int) -> None:
        """Say in the footer of the pages when the runner was last seen."""
        script = self.path / "static" / "heartbeat.js"
        if script.is_file():
            text = re.sub(r"\(\d+\);\s*$", f"({seconds});\n", script.read_text(encoding="utf-8"))
            write_atomically(script, text.encode())

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
        ref = f"refs/heads/{self.name}"
        there = self.clone.git("ls-remote", self.clone.url, ref)
        return self.clone.fetch(self.clone.url, ref, ref) if there else None

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
        self.clone.git("push", "--quiet", "--no-verify", self.clone.url, f"{made}:refs/heads/{self.name}")


@dataclass(frozen=True)
class Command:
    """A program of the maintainer's that puts the site where it belongs; it gets the folder and the commit as arguments.

    Args:
        state: remembers which commit it was last called for, in a file.
    """

    program: str
    state: Path

    def shows(self, commit: str) -> bool:
        return self.state.is_file() and self.state.read_text() == commit

    @property
    def _published(self) -> Path:
        """Snapshots that it was called for: the site may be anywhere by now."""
        return self.state.with_name(f"{self.state.name}.snapshots")

    def snapshots(self, folder: Path) -> None:
        """As those of a :class:`Folder`."""
        _copy(self._published.glob("*"), folder)

    def publish(self, site: Path, commit: str, meanwhile: Duty = _nothing) -> None:
        known = {name: value for name, value in os.environ.items() if name != VARIABLE}
        done = stages.run([self.program, str(site), commit], known, None, meanwhile)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            raise PublishError(f"it ended with {done.returncode}: {said[-1]}", where=self.program)
        self._published.mkdir(exist_ok=True)
        _copy(site.glob(SNAPSHOTS), self._published)
        self.state.write_text(commit)


Target = Folder | Branch | Command


def _copy(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        if file.is_file() and not file.is_symlink():
            shutil.copyfile(file, folder / file.name)


def publish_site(workspaces: Workspaces, target: Target, meanwhile: Duty, url: str = "") -> bool:
    """Build main's site and put it in place unless it is there; whether it was.

    Args:
        meanwhile: done now and then, and before the site is put in place; what it raises ends it.
        url: where it will be read, if that is known.

    Raises:
        EspalierError: the site cannot be built, or does not hold what the records say; the old one stays.
    """
    commit, repository = workspaces.clone.main, workspaces.main
    if target.shows(commit):
        return False
    with tempfile.TemporaryDirectory(dir=workspaces.folder, prefix="site-") as folder:
        site, earlier = Path(folder) / "site", Path(folder) / "snapshots"
        earlier.mkdir()
        target.snapshots(earlier)
        options = ("--no-local", "--strict", "--url", url, "--snapshots", str(earlier), "--output", str(site))
        stages.do(repository, "site", "build", *options, meanwhile=meanwhile)
        stages.do(repository, "verify", "--site", str(site), meanwhile=meanwhile)
        target.publish(site, commit, meanwhile)
    return True
