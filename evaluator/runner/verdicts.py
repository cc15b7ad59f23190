"""What was found of a change, kept in its workspace: it is looked for, and said, once for each commit and each main."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from evaluator.canonical import write_atomically

Finding = Literal["refused", "unsound", "sound", "measured"]
FINDINGS: tuple[Finding, ...] = get_args(Finding)


@dataclass(frozen=True)
class Verdict:
    """A file in ``folder``, named by what was found, with what was looked at in it."""

    folder: Path
    head: str
    main: str

    def is_known(self, *findings: Finding) -> bool:
        """Whether one of these was found of this very commit before."""
        return any(self._read(finding) == self._seen for finding in findings)

    def keep(self, finding: Finding) -> None:
        write_atomically(self.folder / finding, self._seen)

    @property
    def _seen(self) -> bytes:
        return f"{self.head} {self.main}".encode()

    def _read(self, finding: Finding) -> bytes | None:
        path = self.folder / finding
        return path.read_bytes() if path.is_file() else None


def was_ever(folder: Path, finding: Finding) -> bool:
    """Whether this was found of some commit of a change, kept in ``folder``."""
    return (folder / finding).is_file()
