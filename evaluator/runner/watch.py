"""Beside what takes long, perhaps days: how far an evaluation is is told, what is new is greeted, a merge comes first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evaluator.forges import Change, Forge
from evaluator.repository import Repository
from evaluator.runner.attempts import Attempts, Overtaken
from evaluator.runner.changes import is_approved
from evaluator.runner.git import MAIN
from evaluator.runner.greeting import WALLED, Checked
from evaluator.runner.nights import Meter
from evaluator.runner.stages import Evaluation

PAUSE = 600.0
"""Seconds until a change that could not be looked at is looked at again."""
WANTED = "a maintainer has approved a change, which comes first"

Duty = Callable[[], None]
Key = tuple[int, str]
"""A change, by its number and head."""


class Work(NamedTuple):
    """A submission to be measured, with options that say which part of the grid.

    ``change`` is whose submission it is (None: main's). At the ``deadline`` it ends; what has one was asked for by nobody,
    and gives way to what a maintainer approves.
    """

    repository: Repository
    slug: str
    only: Sequence[str]
    change: Change | None = None
    deadline: float = math.inf


@dataclass
class Watch:
    """Of one pass.

    Args:
        look: looks at a change without measuring it, and does a duty meanwhile.
        alive: keeps the lease, and says that the runner was seen.
        is_news: whether something that was merged came to main since this pass began.
        workers: as options of `espalier evaluate`.
        poll: seconds between two looks at the forge.
    """

    forge: Forge
    attempt: Attempts
    look: Callable[[Change, Duty], Checked | None]
    alive: Duty
    is_news: Callable[[Change], bool]
    meter: Meter
    workers: Sequence[str]
    poll: float
    taken: set[Key] = field(init=False, default_factory=set)
    """Whose turn came after they were approved."""
    _again: dict[Key, float] = field(init=False, default_factory=dict)
    _sound: dict[Key, Checked] = field(init=False, default_factory=dict)
    _looked: float = field(init=False, default=-math.inf)

    def greet(self, changes: Sequence[Change], meanwhile: Duty) -> list[Checked]:
        """Those that are sound. Each is looked at once in a pass; what fails is looked at again after a while."""
        keys = [(change.number, change.head) for change in changes]
        for key, change in zip(keys, changes, strict=True):
            if self._again.get(key, 0.0) <= self.meter.now():
                self._again[key] = self.meter.now() + PAUSE
                self.attempt(self._greet, key, change, meanwhile, change=change)
        return [self._sound[key] for key in keys if key in self._sound]

    def _greet(self, key: Key, change: Change, meanwhile: Duty) -> None:
        if (found := self.look(change, meanwhile)) is not None:
            self._sound[key] = found
        self._again[key] = math.inf

    def beside(self, but: Change | None = None) -> None:
        """Done now and then while a command is at work for which nobody who comes has to wait.

        Args:
            but: a change in whose folder it works.
        """
        self.alive()
        if self.meter.now() - self._looked >= self.poll:
            self.attempt(self._greet_others, but, self.alive, grave=False)
            self._looked = self.meter.now()
            self.alive()

    def measure(self, work: Work, tell: Duty) -> None:
        """Until it is done, or its time is over. What the forge does not answer is asked at the next look.

        Args:
            tell: once a look.

        Raises:
            Overtaken: something was merged meanwhile, or ``tell`` says so, or what a maintainer approved comes first.
        """
        about = {"change": work.change.number} if work.change else {}
        evaluation = Evaluation(work.repository, work.slug, (*work.only, "--here", WALLED, *self.workers))
        with self.meter.running(evaluation, submission=work.slug, **about):
            self._stay(evaluation, work, tell)

    def _stay(self, evaluation: Evaluation, work: Work, tell: Duty) -> None:
        told = -math.inf

        def once() -> None:
            nonlocal told
            told = self.meter.now()
            self.alive()
            self.attempt(tell, change=work.change, grave=False)

        def meanwhile() -> None:
            if self.meter.now() - told < self.poll:
                self.alive()
            else:
                once()

        written: int | None = None
        while not evaluation.wait(self.poll) and self.meter.now() < work.deadline:
            once()
            self.attempt(self._look_around, work.change, meanwhile, grave=False)
            if math.isinf(work.deadline) or not self.attempt(self._is_wanted, grave=False):
                written = None
            elif written is None:
                written = _last_written(work.repository)
            elif written != _last_written(work.repository):  # a cell has come to its end
                raise Overtaken(WANTED)

    def give_way(self) -> None:
        """Between two evaluations that nobody asked for. Raises Overtaken where a maintainer has approved something."""
        if self.attempt(self._is_wanted, grave=False):
            raise Overtaken(WANTED)

    def _is_wanted(self) -> bool:
        """Whether something was approved since its turn came."""
        waiting = [one.change for key, one in self._sound.items() if key not in self.taken]
        return any(is_approved(self.forge, change) for change in waiting)

    def _look_around(self, but: Change | None, meanwhile: Duty) -> None:
        """Beyond the change that is measured."""
        if any(self.is_news(change) for change in self.forge.merged_changes()):
            raise Overtaken("something was merged meanwhile, which comes first")
        self._greet_others(but, meanwhile)

    def _greet_others(self, but: Change | None, meanwhile: Duty) -> None:
        others = [change for change in self.forge.open_changes() if change.base == MAIN]
        self.greet([change for change in others if but is None or change.number != but.number], meanwhile)


def _last_written(repository: Repository) -> int:
    """When the last record was."""
    return max((path.stat().st_mtime_ns for path in repository.local.glob("*/*.jsonl")), default=0)
