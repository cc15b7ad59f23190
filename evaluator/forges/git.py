"""Run git on a repository: no hooks, no prompts, and of our environment only what says where programs and settings are."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from evaluator.errors import ForgeError
from evaluator.forges.words import line

PASSED_ON = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SSH_AUTH_SOCK", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")
FLOCK = "espalier.lock"
QUIET = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}


def git(repository: Path, *arguments: str, stdin: str = "", person: str = "espalier") -> str:
    """What git prints, without the last line end.

    Args:
        repository: bare or with a working tree.
        arguments: of git.
        stdin: what it reads.
        person: who makes commits.

    Raises:
        ForgeError: git failed, or is not there.
    """
    done = _run(repository, arguments, stdin, person)
    if done.returncode:
        told = line(done.stderr.decode("utf-8", "replace"), 300)
        raise ForgeError(f"git {arguments[0]} failed: {told}", where=repository)
    return done.stdout.decode("utf-8", "replace").removesuffix("\n")


def found(repository: Path, *arguments: str) -> str | None:
    """The same, where failing is an answer: there is no such ref or note, one commit does not contain another."""
    done = _run(repository, arguments)
    return None if done.returncode else done.stdout.decode("utf-8", "replace").removesuffix("\n")


def _run(
    repository: Path, arguments: tuple[str, ...], stdin: str = "", person: str = "espalier"
) -> subprocess.CompletedProcess[bytes]:
    name = "".join(c for c in line(person, 100) if c not in "<>").strip(" .,:;\"'\\") or "nobody"
    roles = {f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")}
    mail = {f"GIT_{role}_EMAIL": "espalier@localhost" for role in ("AUTHOR", "COMMITTER")}
    known = {variable: os.environ[variable] for variable in PASSED_ON if variable in os.environ}
    try:
        return subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", "-C", str(repository), *arguments],
            env=known | QUIET | roles | mail,
            input=stdin.encode("utf-8", "replace"),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise ForgeError(
            f"git cannot be run ({error.strerror})", where=repository, fix="install git 2.38 or later"
        ) from None


@contextmanager
def alone(repository: Path) -> Iterator[None]:
    """One process at a time changes notes and refs of a local forge; one that dies lets go."""
    with (repository / FLOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def drop_locks(repository: Path, age: float = 0.0) -> None:
    """Remove locks older than so many seconds, which only a git that was killed leaves: it holds one for a moment."""
    places = (repository.glob("*.lock"), *((repository / name).rglob("*.lock") for name in ("refs", "worktrees")))
    for path in chain(*places):
        with suppress(FileNotFoundError):
            if path.name != FLOCK and path.stat().st_mtime <= time.time() - age:
                path.unlink()
