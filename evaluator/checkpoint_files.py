"""Files of checkpoints: what they are called, and where they stay until their cell is pruned. No PyTorch here."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from evaluator.canonical import canonical_json, write_atomically
from evaluator.grid import Limits
from evaluator.grid.schema import SHA256
from evaluator.records import Environment
from evaluator.repository import Repository

NAME = re.compile(r"[a-z0-9-]{1,40}")
NAMES = 64
"""How many checkpoints a cell can have, whose names differ."""
SUFFIX = ".safetensors"
MARK_SUFFIX = ".json"
NEW = "checkpoint-"
"""How the name of a file begins that has yet to be taken out of the sandbox."""


class Checkpoint(NamedTuple):
    """What a task saved on its way: bytes that nobody has looked into, after ``seconds`` of work."""

    name: str
    content: bytes
    seconds: float


class Mark(BaseModel):
    """Where checkpoints were made, and how long the cell had run by the last of them."""

    model_config = ConfigDict(frozen=True)

    environment: Environment
    limits: Limits
    seconds: float = 0.0


def checkpoints(repository: Repository) -> Iterator[tuple[str, list[Path]]]:
    """What there is of every unfinished cell, by its prune key, in the order in which it may be removed."""
    found: dict[str, list[Path]] = {}
    for path in sorted((repository.state / "checkpoints").glob("*"), key=lambda path: path.suffix != MARK_SUFFIX):
        if SHA256.fullmatch(path.stem):
            found.setdefault(path.stem, []).append(path)
    yield from sorted(found.items())


class Unfinished:
    """The checkpoints of one cell: a folder named by its prune key, and a mark beside it, out of the sandbox's sight."""

    def __init__(self, repository: Repository, key: str, environment: Environment, limits: Limits) -> None:
        self.key = key
        self.folder = repository.state / "checkpoints" / key
        self._mark = self.folder.with_suffix(MARK_SUFFIX)
        self._here = Mark(environment=environment, limits=limits)

    def resume(self) -> float:
        """Seconds that went into what is kept, which the sandbox can read from now on.

        What was made in another environment or under other limits is thrown away: no run may go on from it.
        """
        try:
            mark = Mark.model_validate_json(self._mark.read_bytes())
        except (FileNotFoundError, ValidationError):
            mark = None
        here = (self._here.environment, self._here.limits)
        if mark is None or (mark.environment, mark.limits) != here or not self.folder.is_dir():
            self.discard()
            return 0.0
        for path in self.folder.iterdir():
            if path.suffix != SUFFIX:
                path.unlink()  # half written when a kill came
        return mark.seconds

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep it in place of an older one of its name."""
        path = self.folder / f"{checkpoint.name}{SUFFIX}"
        if not path.exists() and len(list(self.folder.glob(f"*{SUFFIX}"))) >= NAMES:
            return
        with contextlib.suppress(FileNotFoundError):  # another process has finished this very cell meanwhile
            if not self._mark.exists():
                self._write_mark(0.0)
            write_atomically(path, checkpoint.content)
            self._write_mark(checkpoint.seconds)

    def _write_mark(self, seconds: float) -> None:
        mark = self._here.model_copy(update={"seconds": seconds})
        write_atomically(self._mark, canonical_json(mark.model_dump(mode="json")).encode())

    def discard(self) -> None:
        self._mark.unlink(missing_ok=True)  # first: a folder without a mark counts for nothing
        shutil.rmtree(self.folder, ignore_errors=True)
