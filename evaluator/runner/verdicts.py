"""What was found of a change, kept in its workspace: it is looked for, and said, once for each commit and each evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from evaluator.canonical import write_atomically

Finding = Literal["refused", "unsound", "sound", "measured"]
FINDINGS: tuple[Finding, ...] = get_args(Finding)


@dataclass(frozen=True)
class Verdict:
    """A file in ``folder``, named by what was found, with what was looked at in it.

    Args:
        main: a commit; what was measured stands beside the others as they are there.
        code: its evaluator, by which all else was found.
    """

    folder: Path
    head: str
    main: str
    code: str

    def is_known(self, *findings: Finding) -> bool:
        """Whether one of these was found of this very commit before."""
        return any(self._read(finding) == self._seen(finding) for finding in findings)

    def keep(self, finding: Finding) -> None:
        write_atomically(self.folder / finding, self._seen(finding))

    def _seen(self, finding: Finding) -> bytes:
        return f"{self.head} {self.main if finding == 'measured' else self.code}".encode()

    def _read(self, finding: Finding) -> bytes | None:
        path = self.folder / finding
        return path.read_bytes() if path.is_file() else None


def was_ever(folder: Path, finding: Finding) -> bool:
    """Whether this was found of some commit of a change, kept in ``folder``."""
    return (folder / finding).is_file()
