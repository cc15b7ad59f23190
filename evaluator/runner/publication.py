"""After a merge: records to main, signed; then the whole site, built, verified, and put in place in one step."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from evaluator.errors import ForgeError, SignatureError
from evaluator.records import AllowedSigners, Store
from evaluator.records.signatures import SIGNERS
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.git import MAIN
from evaluator.runner.targets import Duty, Target, beat
from evaluator.runner.workspace import Workspaces


def require_key(repository: Repository, key: Path | None) -> None:
    """Raises SignatureError where records have to be signed, and there is no key: no site would be built of them."""
    if key is None and AllowedSigners.of(repository.published) is not None:
        what = "records are signed here, and this runner has no key: nothing is published"
        raise SignatureError(what, where=repository.published / SIGNERS, fix="give it `--key KEY`, one that this file names")


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


def publish_site(
    workspaces: Workspaces, target: Target, now: float, meanwhile: Duty, url: str = "", source: str = ""
) -> bool:
    """Build main's site and put it in place unless it is there; whether it was.

    Args:
        now: when a runner was seen, which its footer says.
        meanwhile: done now and then, and before the site is put in place; what it raises ends it.
        url: where it will be read, if that is known. ``source``: where the project's repository is, likewise.

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
        more = ("--source", source) if source else ()
        stages.do(repository, "site", "build", *options, *more, meanwhile=meanwhile)
        stages.do(repository, "verify", "--site", str(site), meanwhile=meanwhile)
        beat(site, int(now))
        target.publish(site, commit, meanwhile)
    return True
