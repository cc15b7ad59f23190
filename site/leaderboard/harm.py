"""Whether a class pays for the others: what findings and the head of a method's page say of all that is forgotten."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from evaluator.canonical import digest
from leaderboard.audit import PHASES, Audited, audit_method
from leaderboard.entries import Phase
from leaderboard.kept import code
from leaderboard.load import Board
from leaderboard.pages.site import Site
from leaderboard.sources import source


class Case(NamedTuple):
    """A method at a target and phase: classes that could be tested, the change of top-1, and the class that loses most of
    those that lose significantly more: what it changes beyond top-1, points (0 where there is none), and which it is."""

    phase: Phase
    target: str
    tested: int
    top1: float
    loss: float
    which: int

    @property
    def harmed(self) -> bool:
        return self.loss < 0


def cases(site: Site, board: Board, slug: str) -> list[Case]:
    """Of a method on a board, at every target and phase with scores; kept from build to build."""
    alone = board.alone(slug)
    name = digest([code(), "harm", source([site.grid, alone])])
    text = site.kept.text(f"{name}.harm", lambda: json.dumps(list(map(_case, audit_method({}, site.grid, alone, slug)))))
    return [Case(*one) for one in json.loads(text)]


def at_first(found: list[Case]) -> list[Case]:
    """Those of the first phase that has any, after retraining before before it."""
    return next((own for phase in PHASES if (own := [case for case in found if case.phase == phase])), [])


def _case(one: Audited) -> Case:
    losses = np.where(one.forgetting.harmed, one.forgetting.beyond, 0)
    return Case(one.phase, one.target, one.forgetting.tested, one.forgetting.top1, float(losses.min()), int(losses.argmin()))
