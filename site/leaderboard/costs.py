"""What a method costs: seconds, memory and epochs for one network, as recorded."""

from __future__ import annotations

import math

import numpy as np

from leaderboard.load import Board


def seconds(board: Board, slug: str) -> float:
    """What one network takes by a method, at the costliest of its targets; nan where some cost is not known."""
    return pruning_seconds(board, slug) + retraining_seconds(board)


def pruning_seconds(board: Board, slug: str) -> float:
    """The method's own part of it."""
    return costliest(board, slug, "pruning_seconds")


def retraining_seconds(board: Board) -> float:
    """Retraining is the same for all, and what one was slower than another is the machine's doing: the board's median."""
    return board.retraining_seconds


def costliest(board: Board, slug: str, column: str) -> float:
    """The largest over the ranked targets of a method's mean over seeds; nan where some value is not known."""
    means = by_target(board, slug, column).values()
    return float(np.max(list(means))) if means else math.nan


def by_target(board: Board, slug: str, column: str) -> dict[str, float]:
    """Ranked target -> mean over seeds, nan where some value is not known."""
    found: dict[str, list[float]] = {}
    for row in board.by_submission.get(slug, []):
        if row.variant == "method" and row.status == "ok" and row.target not in board.stress:
            value = getattr(row, column)
            found.setdefault(row.target, []).append(math.nan if value is None else value)
    return {target: float(np.mean(values)) for target, values in found.items()}
