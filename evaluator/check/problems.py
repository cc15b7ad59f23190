"""A problem that `espalier check` found: where, what, and how to mend it. Safe to print whatever the submission holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from evaluator.characters import hidden

Severity = Literal["error", "warning"]
LONGEST = 80
"""Characters of a submission's own text that a message quotes."""


@dataclass(frozen=True, order=True)
class Problem:
    """One problem of one file.

    Args:
        path: the file or folder concerned.
        line: from 1; 0 where the problem is of the file as a whole.
        severity: an error keeps the submission out, a warning does not.
        code: short and stable, for programs.
        message: what is wrong.
        fix: what to do about it.
    """

    path: Path
    line: int
    severity: Severity
    code: str
    message: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": self.path.as_posix()}


def error(path: Path, line: int, code: str, message: str, fix: str) -> Problem:
    return Problem(path, line, "error", code, message, fix)


def warning(path: Path, line: int, code: str, message: str, fix: str) -> Problem:
    return Problem(path, line, "warning", code, message, fix)


def visible(text: str) -> str:
    """``text`` on one line with every hidden character spelt out, so that it can neither steer a terminal nor mislead."""
    return "".join(
        f"\\u{ord(c):04x}" if hidden(c) else " " if c in "\n\t" else c
        for c in text
    )  # fmt: skip


def quoted(value: object) -> str:
    """A submission's own text within a message: in quotes, visible and short."""
    text = visible(str(value))
    return f"'{text[:LONGEST]}…'" if len(text) > LONGEST else f"'{text}'"
