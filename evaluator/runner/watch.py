"""Beside an evaluation, which may take days: how far it is is told, what is new is greeted, and a merge comes first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evaluator.forges import Change, Forge
from evaluator.repository import Repository
from evaluator.runner.attempts import Attempts, Overtaken
from evaluator.runner.git import MAIN
from evaluator.runner.greeting import WALLED, Checked
from evaluator.runner.nights import Meter
from evaluator.runner.stages import Evaluation

PAUSE = 600.0
"""Seconds until a change that could not be looked at is looked at again."""

Duty = Callable[[], None]


class Work(NamedTuple):
    """A submission to be measured, with options that say which part of the grid.

    ``change`` is whose submission it is (None: main's); at the ``deadline`` it ends.
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
    _again: dict[tuple[int, str], float] = field(init=False, default_factory=dict)

    def greet(self, changes: Iterable[Change], meanwhile: Duty) -> list[Checked]:
        """Those that are sound of what was not looked at in this pass; what fails is looked at again after a while."""
        sound = []
        for change in changes:
            key = (change.number, change.head)
            if self._again.get(key, 0.0) <= self.meter.now():
                self._again[key] = self.meter.now() + PAUSE
                sound.append(self.attempt(self._greet, change, meanwhile, change=change))
        return [checked for checked in sound if checked is not None]

    def _greet(self, change: Change, meanwhile: Duty) -> Checked | None:
        found = self.look(change, meanwhile)
        self._again[change.number, change.head] = math.inf
        return found

    def measure(self, work: Work, tell: Duty) -> None:
        """Until it is done, or its time is over. What the forge does not answer is asked at the next look.

        Args:
            tell: once a look.

        Raises:
            Overtaken: something was merged meanwhile, or ``tell`` says so.
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

        while not evaluation.wait(self.poll) and self.meter.now() < work.deadline:
            once()
            self.attempt(self._look_around, work.change, meanwhile, grave=False)

    def _look_around(self, but: Change | None, meanwhile: Duty) -> None:
        """Beyond the change that is measured."""
        if any(self.is_news(change) for change in self.forge.merged_changes()):
            raise Overtaken("something was merged meanwhile, which comes first")
        others = [change for change in self.forge.open_changes() if change.base == MAIN]
        self.greet([change for change in others if but is None or change.number != but.number], meanwhile)
