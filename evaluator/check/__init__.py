"""Static checks of submissions: every problem of every file at once, with its line. Nothing is imported or run.

This is help for contributors and reviewers, not the guard against hostile code: that is the sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.check.code import check_code
from evaluator.check.files import read_files
from evaluator.check.metadata import check_metadata
from evaluator.check.problems import Problem, quoted, warning


@dataclass(frozen=True)
class Report:
    """All problems of the submissions that were checked, by path and line."""

    problems: list[Problem]
    submissions: int

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return not any(problem.severity == "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        problems = [problem.to_json() for problem in self.problems]
        return {"ok": self.ok, "problems": problems, "submissions": self.submissions}


def check_submission(folder: Path) -> list[Problem]:
    """Every problem of one submission, by path and line."""
    return _check(folder)[0]


def check_submissions(folders: Sequence[Path]) -> Report:
    """Every problem of several submissions, and of their being together."""
    problems: list[Problem] = []
    titles: dict[str, Path] = {}
    for folder in folders:
        found, title = _check(folder)
        problems += found
        if title and titles.setdefault(title.casefold(), folder) != folder:
            other = titles[title.casefold()].name
            message = f"the title {quoted(title)} is also that of {quoted(other)}"
            fix = "choose another, so that readers can tell the two apart"
            problems.append(warning(folder / "metadata.yaml", 0, "same-title", message, fix))
    return Report(problems, len(folders))


def _check(folder: Path) -> tuple[list[Problem], str | None]:
    """The problems of one submission, and its title where there is one."""
    texts, problems = read_files(folder)
    values: dict[str, Any] | None = None
    if "metadata.yaml" in texts:
        values, wrong = check_metadata(folder / "metadata.yaml", texts["metadata.yaml"], folder.resolve().name)
        problems += wrong
    if "method.py" in texts:
        problems += check_code(folder / "method.py", texts["method.py"], values)
    title = (values or {}).get("title")
    return sorted(set(problems)), title if isinstance(title, str) else None
