"""The runner's own bare clone. Nothing of a stranger's commit is ever checked out: its files are read as blobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ForgeError
from evaluator.forges.git import drop_locks

MAIN = "main"
SETTINGS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "fetch.fsckObjects=true"),
    *("-c", "gc.auto=0"),
    *("-c", "user.name=Espalier"),
    *("-c", "user.email=espalier@localhost"),
)
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "XDG_CONFIG_HOME")
PATIENCE = 300.0
"""Seconds for git to answer; one that waits for a dead connection must not wait longer than a lease lasts."""
COMPLAINTS = (" ! ", "error: ", "fatal: ")


@dataclass(frozen=True)
class Entry:
    """A file that a change touches; the mode is git's, all zeros where the file is gone."""

    mode: str
    blob: str
    path: str


class Clone:
    """A bare clone of the project in ``folder``.

    Args:
        url: whence main is fetched, and whither records and the lease are pushed, with git's own credentials.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def open(self) -> None:
        """Make the clone unless it is there, forget what a kill left, and fetch main."""
        drop_locks(self.folder)
        if not (self.folder / "HEAD").is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.git("init", "--quiet", "--bare", "--initial-branch", "runner", str(self.folder))
            self.run("fetch", "--quiet", "--no-tags", self.url, f"refs/heads/{MAIN}", check=True, limit=None)
        self.fetch(self.url, f"refs/heads/{MAIN}", f"refs/heads/{MAIN}")

    def fetch(self, url: str, ref: str, into: str) -> str:
        """The commit that a ref of another repository has now; kept under ``into``."""
        self.git("fetch", "--quiet", "--no-tags", "--force", url, f"+{ref}:{into}")
        return self.git("rev-parse", f"{into}^{{commit}}")

    def forget(self, ref: str) -> None:
        """Let go of what was fetched into a ref."""
        self.git("update-ref", "-d", ref)

    def tidy(self) -> None:
        """Pack what is here, and remove what nothing leads to: every renewal of a lease was a commit."""
        self.git("gc", "--quiet", "--prune=now")

    def at(self, url: str, ref: str) -> str | None:
        """The commit that a ref of another repository has now; None where it has none. Nothing is fetched."""
        return next(iter(self.git("ls-remote", url, ref).split()), None)

    @property
    def main(self) -> str:
        """The commit of main that was fetched last."""
        return self.git("rev-parse", f"refs/heads/{MAIN}")

    @property
    def code(self) -> str:
        """The evaluator of main, grid included, as git names its content: records that are published leave it as it is."""
        return self.git("rev-parse", f"refs/heads/{MAIN}:evaluator")

    def look_at_main(self) -> str:
        """The commit of main as it is in the project now; what was fetched of it before stays what we work with."""
        return self.fetch(self.url, f"refs/heads/{MAIN}", "refs/espalier/main")

    def merge_base(self, one: str, other: str) -> str | None:
        found = self.run("merge-base", one, other)
        return found.stdout.decode().strip() or None

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether a commit is here, and part of the history of another."""
        return self.run("merge-base", "--is-ancestor", commit, of).returncode == 0

    def before(self, commit: str, most: int) -> Iterator[str]:
        """Commits on which one rests, the nearest first: its first parent, and so on as far as no merge lies between."""
        lines = self.git("rev-list", "--first-parent", "--parents", f"--max-count={most}", commit).splitlines()
        for _, *parents in map(str.split, lines):
            yield from parents[:1]
            if len(parents) > 1:
                return

    def touched(self, base: str, head: str) -> Iterator[Entry]:
        """Every file that differs between two commits."""
        listed = self.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, head, check=True).stdout
        fields = listed.decode("utf-8", "surrogateescape").split("\0")
        for meta, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, _, blob, _ = meta.lstrip(":").split(" ")
            yield Entry(mode, blob, path)

    def files(self, commit: str, folder: str) -> Iterator[Entry]:
        """Every file that a commit has in ``folder``."""
        listed = self.run("ls-tree", "-r", "-z", "--full-tree", commit, f"{folder}/", check=True).stdout
        for line in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
            meta, path = line.split("\t", 1)
            mode, _, blob = meta.split(" ")
            yield Entry(mode, blob, path)

    def size(self, blob: str) -> int:
        """In bytes."""
        return int(self.git("cat-file", "-s", blob))

    def read(self, blob: str) -> bytes:
        return self.run("cat-file", "blob", blob, check=True).stdout

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """What git prints. Raises ForgeError with what it complains of."""
        return self.run(*arguments, check=True, folder=folder).stdout.decode("utf-8", "replace").strip()

    def run(
        self,
        *arguments: str,
        check: bool = False,
        folder: Path | None = None,
        index: Path | None = None,
        limit: float | None = PATIENCE,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git without a shell, without questions, and without the secrets of our environment.

        Args:
            check: raise ForgeError where git fails.
            folder: where to run it; the clone by default.
            index: to be used in place of the usual one.
            limit: seconds.

        Raises:
            ForgeError: it fails, or takes longer.
        """
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("GIT_SSH")}
        kept |= {"GIT_INDEX_FILE": str(index)} if index else {}
        try:
            done = subprocess.run(
                ["git", *SETTINGS, *arguments],
                cwd=folder or self.folder,
                env=kept | {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_CONFIG_NOSYSTEM": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            fix = "is the project in reach? It is tried again in the next pass"
            raise ForgeError(f"git {arguments[0]} did not end within {limit:g} s", where=self.folder, fix=fix) from None
        if check and done.returncode:
            raise ForgeError(f"git {arguments[0]}: {cause(done)}", where=self.folder)
        return done


def cause(failed: subprocess.CompletedProcess[bytes]) -> str:
    """Why git failed, in a line: neither what it was at, nor its advice."""
    said = failed.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    return next((line.strip() for line in said if line.startswith(COMPLAINTS)), said[-1])
