"""In place of what costs time: the child processes of a runner, and somebody who reads its log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluator.errors import EspalierError, ForgeError
from evaluator.forges import Change, LocalForge, people
from evaluator.runner.stages import Progress
from tests.runner.project import git

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
MINUTE, HOUR = 60.0, 3600.0


def cell(benchmark: str, slug: str, state: str = "stale", todo: tuple[str, ...] = ("method",)) -> dict[str, Any]:
    return {"submission": slug, "cell": f"{benchmark}/one-shot/unstructured/2/0", "state": state, "todo": list(todo)}


def propose(forge: LocalForge, author: Path, slug: str = "new", base: str = "main") -> Change:
    """An open change with one submission."""
    git(author, "checkout", "--quiet", "--force", "--detach", "origin/main")
    (author / "submissions" / slug).mkdir(exist_ok=True)
    (author / "submissions" / slug / "method.py").write_text("new = 1\n")
    git(author, "add", "--all")
    git(author, "commit", "--quiet", "-m", f"A method: {slug}")
    return people.open_change(forge, author, title=f"Add {slug}", author="somebody", base=base)


def approved(forge: LocalForge, author: Path) -> Change:
    """A change that a maintainer approved."""
    git(forge.path, "config", "--add", "espalier.maintainer", "maintainer")
    return people.approve(forge, propose(forge, author).number, "maintainer")


def measured(*slugs: str) -> Callable[..., Progress]:
    """All that there is of these submissions, and nothing of others."""
    return lambda _, slug, __: Progress(int(slug in slugs), 1, None)


def silent(*_: object) -> None:
    raise ForgeError("it does not answer")


@dataclass
class Stage:
    """In place of the child processes: what the plan lists, what the sentinels say, how long an evaluation takes."""

    cells: list[dict[str, Any]] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    smoked: list[dict[str, Any]] = field(default_factory=list)
    """Cells that failed."""
    sentinels: list[str] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)
    problem: str = ""
    """Of a site, which its verification finds."""
    seconds: float = HOUR
    left: float = 0
    time: float = NOON
    progress: Progress = field(default_factory=lambda: Progress(0, 1, None))
    asked: list[str] = field(default_factory=list)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """With which each was asked last."""
    done: list[tuple[str, ...]] = field(default_factory=list)
    measured: list[tuple[str, ...]] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    beside: dict[str, Callable[[Callable[[], None]], None]] = field(default_factory=dict)
    """What happens while something is at work, once; it may do what is done meanwhile."""

    def ask(self, _: object, verb: str, *arguments: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
        self.asked.append(verb)
        self.options[verb] = arguments
        self.time += MINUTE if verb == "smoke" else 0
        self._at(verb, meanwhile)
        if verb == "sentinels":
            found = {"deviations": self.deviations, "accepted": [], "environments": self.environments}
            return {"ok": not self.deviations, "cells": self.sentinels, **found}
        if verb in ("check", "smoke"):
            smoked = self.smoked if verb == "smoke" else []
            return {"ok": not smoked, "problems": [], "cells": smoked}
        if verb == "gc":
            return {"bytes": 0}
        return {"cells": self.cells, "seconds": None}

    def do(self, _: object, *arguments: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.done.append(arguments)
        self._at("preview" if "--notice" in arguments else arguments[0], meanwhile)
        if arguments[:2] == ("site", "build"):
            site = Path(arguments[arguments.index("--output") + 1])
            site.mkdir(parents=True, exist_ok=True)
            (site / "index.html").write_text(f"site {sum(one[:2] == ('site', 'build') for one in self.done)}")
        if arguments[0] == "verify" and self.problem:
            raise EspalierError(self.problem)

    def _at(self, work: str, meanwhile: Callable[[], None]) -> None:
        if (happens := self.beside.pop(work, None)) is not None:
            happens(meanwhile)
        meanwhile()

    def evaluation(self, _: object, slug: str, options: tuple[str, ...]) -> Stage:
        self.measured.append((slug, *options))
        self.left = self.seconds
        return self

    def wait(self, _: float) -> bool:
        """It takes its time, a quarter of an hour between two looks."""
        took = min(self.left, HOUR / 4)
        self.time, self.left = self.time + took, self.left - took
        return self.left == 0

    def stop(self) -> None:
        pass

    def commit(self, _: object, slug: str, *__: object) -> bool:
        self.committed.append(slug)
        self.cells = [one for one in self.cells if one["submission"] != slug]
        return True


@dataclass
class Lines(logging.Handler):
    """What was logged."""

    seen: list[logging.LogRecord] = field(default_factory=list)
    level: int = logging.INFO

    def __post_init__(self) -> None:
        logging.Handler.__init__(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)

    def of(self, what: str) -> list[dict[str, Any]]:
        return [vars(record) for record in self.seen if record.getMessage() == what]

    def seen_of(self, part: str) -> list[dict[str, Any]]:
        """Lines that have this in them."""
        return [vars(record) for record in self.seen if part in record.getMessage()]

    __hash__ = object.__hash__
