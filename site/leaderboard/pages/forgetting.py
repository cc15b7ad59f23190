"""What a method forgets, for its page: one table for each board and phase, targets across and classes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluator.grid import Grid
from evaluator.records import Churn
from evaluator.records.audit import Place
from leaderboard.audit import PHASES, Audited, audit_method, class_name
from leaderboard.entries import Phase
from leaderboard.load import Board

MANY = 20
"""More classes than these are not all shown,"""
EXTREMES = 5
"""but so many that lose most and so many that gain most, at any target."""
STEPS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Points from which a significant change has a stronger tint."""


@dataclass(frozen=True)
class Cell:
    """One class at one target: its change beyond that of top-1, points."""

    beyond: float
    significant: bool

    @property
    def tint(self) -> str:
        """A class of the style sheet: nothing where the change may be chance."""
        if not self.significant:
            return ""
        return f"{'lost' if self.beyond < 0 else 'won'}{sum(abs(self.beyond) >= step for step in STEPS)}"


@dataclass(frozen=True)
class Column:
    """One target; ``worst`` names the class that loses most."""

    label: str
    audited: Audited
    worst: str


@dataclass(frozen=True)
class Table:
    """One phase. ``rows``: name of a class and its cell at every target; ``left_out`` classes are not shown."""

    phase: Phase
    columns: list[Column]
    rows: list[tuple[str, list[Cell]]]
    left_out: int

    @property
    def has_churn(self) -> bool:
        return any(column.audited.churn for column in self.columns)

    @property
    def seeds(self) -> tuple[int, int]:
        """Fewest pruned and fewest dense networks behind a column."""
        audited = [column.audited for column in self.columns]
        return min(one.pruned.seeds for one in audited), min(one.dense.seeds for one in audited)


def tables(churn: Mapping[Place, Churn], grid: Grid, board: Board, slug: str) -> list[Table]:
    """Of the phases at which a method has scores on a board, after retraining first."""
    audited = list(audit_method(churn, grid, board, slug))
    made = (_table(grid, phase, [one for one in audited if one.phase == phase]) for phase in PHASES)
    return [table for table in made if table is not None]


def _table(grid: Grid, phase: Phase, audited: list[Audited]) -> Table | None:
    if not audited:
        return None
    benchmark = audited[0].board.key.benchmark
    changes = np.array([one.forgetting.beyond for one in audited])
    shown = _shown(changes)
    columns = [Column(one.target, one, class_name(grid, benchmark, one.forgetting.worst)) for one in audited]
    rows = [
        (
            class_name(grid, benchmark, index),
            [Cell(float(one.forgetting.beyond[index]), bool(one.forgetting.significant[index])) for one in audited],
        )
        for index in shown
    ]
    return Table(phase, columns, rows, changes.shape[1] - len(shown))


def _shown(changes: np.ndarray) -> list[int]:
    """Indices of the classes to show, of changes by target and class: all in their order, or the extremes, losses first."""
    known = [index for index in range(changes.shape[1]) if np.isfinite(changes[:, index]).any()]
    if len(known) <= MANY:
        return known
    losing = sorted(known, key=lambda index: float(np.nanmin(changes[:, index])))[:EXTREMES]
    gaining = sorted(known, key=lambda index: -float(np.nanmax(changes[:, index])))
    return losing + [index for index in gaining if index not in losing][:EXTREMES]
