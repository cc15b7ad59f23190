"""Sites as they would be with a change: one for each, kept as long as the change is open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluator.records.signatures import SIGNERS
from evaluator.repository import Repository
from evaluator.runner import stages


@dataclass(frozen=True)
class Previews:
    """In ``folder``, by the numbers of the changes; ``address`` is where people can read it, None: nowhere."""

    folder: Path
    address: str | None = None

    def of(self, number: int) -> Path:
        """Where the one of a change is, there or not."""
        return self.folder / str(number)

    def numbers(self) -> list[int]:
        """The changes that have one."""
        return sorted(int(path.name) for path in self.folder.glob("*") if path.name.isdecimal())

    def page(self, number: int, slug: str) -> str | None:
        """The address of a method's page."""
        return f"{self.address.rstrip('/')}/{number}/methods/{slug}.html" if self.address else None

    def build(self, number: int, repository: Repository, slug: str, meanwhile: Callable[[], None]) -> None:
        """With what was measured of a submission laid over the published records; ``meanwhile`` is done now and then."""
        (repository.published / SIGNERS).unlink(missing_ok=True)  # these records are nobody's word yet
        notice = f"Preview of change {number}: not published"
        stages.do(repository, "promote", slug)
        build = ("site", "build", "--no-local", "--notice", notice, "--output", str(self.of(number)))
        stages.do(repository, *build, meanwhile=meanwhile)

    def remove(self, number: int) -> None:
        shutil.rmtree(self.of(number), ignore_errors=True)
