"""The runner's own bare clone. Nothing of a stranger's commit is ever checked out: its files are read as blobs."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ForgeError
from evaluator.forges.git import drop_locks

MAIN = "main"
LOOKED_AT = "refs/espalier/main"
SETTINGS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "fetch.fsckObjects=true"),
    *("-c", "fetch.unpackLimit=1"),
    *("-c", "pack.threads=2"),
    *("-c", "core.packedGitWindowSize=32m"),
    *("-c", "core.packedGitLimit=256m"),
    *("-c", "gc.auto=0"),
    *("-c", "user.name=Espalier"),
    *("-c", "user.email=espalier@localhost"),
)
KEPT = ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "XDG_CONFIG_HOME")
ALWAYS = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
FULL = (b"File too large", b"ut of memory", b"Cannot allocate memory")
"""What is said where a file, or a process, may not become larger."""
PATIENCE = 300.0
"""Seconds for git to answer; one that waits for a dead connection must not wait longer than a lease lasts."""
COMPLAINTS = (" ! ", "error: ", "fatal: ")
MOST_FETCHED = 20_000_000
"""Bytes of the commits of a change, history and all, as git packs them."""
MOST_LISTED = 2_000_000
"""Bytes of a list of files: a few trees that hold each other often name more files than there is room for on earth."""
MEMORY = 2 << 30
"""For git, at work on what a stranger made."""


@dataclass(frozen=True)
class Entry:
    """A file that a change touches; the mode is git's, all zeros where the file is gone."""

    mode: str
    blob: str
    path: str


class TooLarge(ForgeError):
    """Git had more to write than it may."""


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

    def fetch(self, url: str, ref: str, into: str, most: int | None = None) -> str:
        """The commit that a ref of another repository has now; kept under ``into``.

        Raises:
            TooLarge: more than ``most`` bytes would come; what did is removed by :meth:`tidy`.
        """
        self.run("fetch", "--quiet", "--no-tags", "--force", url, f"+{ref}:{into}", check=True, most=most)
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
        return self.fetch(self.url, f"refs/heads/{MAIN}", LOOKED_AT)

    def left_main(self, commit: str) -> str | None:
        """Where a commit left main, be that as it was fetched or as it was looked at; None where it was never part of it."""
        later = self.run("rev-parse", "--quiet", "--verify", LOOKED_AT).stdout.decode().split()
        found = self.run("merge-base", commit, self.main, *later)
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
        """Every file that differs between two commits. Raises TooLarge where the list has no end."""
        fields = self._listed("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, head)
        for meta, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, _, blob, _ = meta.lstrip(":").split(" ")
            yield Entry(mode, blob, path)

    def files(self, commit: str, folder: str) -> Iterator[Entry]:
        """Every file that a commit has in ``folder``. Raises TooLarge where the list has no end."""
        for line in filter(None, self._listed("ls-tree", "-r", "-z", "--full-tree", commit, f"{folder}/")):
            meta, path = line.split("\t", 1)
            mode, _, blob = meta.split(" ")
            yield Entry(mode, blob, path)

    def _listed(self, *arguments: str) -> list[str]:
        return self.run(*arguments, check=True, most=MOST_LISTED).stdout.decode("utf-8", "surrogateescape").split("\0")

    def size(self, blob: str) -> int:
        """In bytes."""
        return int(self.git("cat-file", "-s", blob))

    def show(self, commit: str, path: str) -> bytes:
        """What a file has in a commit; nothing where there is no such file, or no such commit."""
        return self.run("cat-file", "blob", f"{commit}:{path}").stdout

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
        most: int | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git without a shell, without questions, and without the secrets of our environment.

        Args:
            check: raise ForgeError where git fails.
            folder: where to run it; the clone by default.
            index: to be used in place of the usual one.
            limit: seconds.
            most: bytes that it may write, to any file or to us.

        Raises:
            TooLarge: it would write more.
            ForgeError: it fails, or takes longer.
        """
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("GIT_SSH")}
        kept |= {"GIT_INDEX_FILE": str(index)} if index else {}
        command, where = ["git", *SETTINGS, *arguments], folder or self.folder
        try:
            done = _confined(command, where, kept | ALWAYS, limit, most)
        except subprocess.TimeoutExpired:
            fix = "is the project in reach? It is tried again in the next pass"
            raise ForgeError(f"git {arguments[0]} did not end within {limit:g} s", where=self.folder, fix=fix) from None
        if most is not None and done.returncode and any(sign in done.stderr for sign in FULL):
            raise TooLarge(f"git {arguments[0]}: more than {most / 1e6:g} MB", where=self.folder)
        if check and done.returncode:
            raise ForgeError(f"git {arguments[0]}: {cause(done)}", where=self.folder)
        return done


def _confined(
    command: list[str], folder: Path, env: dict[str, str], limit: float | None, most: int | None
) -> subprocess.CompletedProcess[bytes]:
    """A program that may write ``most`` bytes to any file, that of its output among them."""
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=limit,
            check=False,
            restore_signals=most is None,  # it is to say that a file is full, not to be killed for it
            preexec_fn=None if most is None else _confine(most),
        )
        out.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, out.read(), done.stderr)


def _confine(most: int) -> Callable[[], None]:
    def confine() -> None:
        for what, value in ((resource.RLIMIT_FSIZE, most), (resource.RLIMIT_AS, MEMORY)):
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

    return confine


def cause(failed: subprocess.CompletedProcess[bytes]) -> str:
    """Why git failed, in a line: neither what it was at, nor its advice."""
    said = failed.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    return next((line.strip() for line in said if line.startswith(COMPLAINTS)), said[-1])
