"""The audit of a board: what the networks of every method forget at every target and phase, and the churn known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evaluator.grid import Grid
from evaluator.records import Churn
from evaluator.records.audit import Place
from leaderboard.entries import Phase
from leaderboard.forgetting import Forgetting, Population, forgetting, population
from leaderboard.load import Board, Results

PHASES: tuple[Phase, ...] = ("after", "before")


@dataclass(frozen=True)
class Audited:
    """One method at one target and phase, beside the dense control; ``churn`` is None where none is known."""

    board: Board
    submission: str
    target: str
    phase: Phase
    pruned: Population
    dense: Population
    forgetting: Forgetting
    churn: Churn | None


def audit(results: Results, grid: Grid) -> Iterator[Audited]:
    """Every method on every board, in the order of the boards, slugs, targets and phases."""
    for board in results.boards:
        for slug in sorted(board.by_submission):
            churn = results.churn.get((board.key.origin, board.key.benchmark, slug), {})
            yield from audit_method(churn, grid, board, slug)


def audit_method(churn: Mapping[Place, Churn], grid: Grid, board: Board, slug: str) -> Iterator[Audited]:
    """One method on one board; a target or phase without scores, or without a dense control, is left out."""
    division: Any = board.key.division
    own = [row for row in board.by_submission.get(slug, []) if row.variant == "method"]
    dense = {phase: population(board.dense_rows, phase) for phase in PHASES}
    for target in grid.targets_of(board.key.benchmark, division):
        label = target if isinstance(target, str) else f"{target:g}"
        at = [row for row in own if row.target == label]
        for phase in PHASES:
            pruned, control = population(at, phase), dense[phase]
            if pruned is not None and control is not None:
                found = forgetting(pruned, control)
                key = board.key
                place = (key.track, key.division, key.recipe, key.device_class, label, phase)
                known = _published(churn.get(place), pruned, control)
                yield Audited(board, slug, label, phase, pruned, control, found, known)


def class_name(grid: Grid, benchmark: str, index: int) -> str:
    """A class by its name, or by its number where the grid names none or the name is a number."""
    names = grid.datasets[grid.benchmarks[benchmark].dataset].class_names
    name = names[index] if names else str(index)
    return f"class {name}" if name.isdigit() else name.replace("_", " ")


def _published(found: Churn | None, pruned: Population, dense: Population) -> Churn | None:
    """The figure that is known for these very predictions; one for others says nothing about these records."""
    if found is None or found.images != pruned.images:
        return None
    return found if (found.pruned, found.dense) == (pruned.predictions, dense.predictions) else None
