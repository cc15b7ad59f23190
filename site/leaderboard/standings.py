"""A board at one phase: who stands where, with ranges of ranks, controls beside the methods, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.grid import Grid
from leaderboard import statistics
from leaderboard.entries import Axis, Entry, Frame, Phase, Target, make_entry
from leaderboard.load import Board
from leaderboard.statistics import Interval

CONTROLS = ("matched-random", "matched-magnitude")
Range = tuple[int, int]


@dataclass(frozen=True)
class Standing:
    """Methods in the order of their area on the board's own axis; the order inside one range of ranks means nothing."""

    board: Board
    frame: Frame
    methods: list[Entry]
    controls: dict[str, list[Entry]]
    ranks: dict[Axis, dict[str, Range]]
    dense: dict[Phase, Interval]

    @property
    def id(self) -> str:
        return f"{self.board.key.anchor}-{self.frame.phase}"

    def entry(self, slug: str) -> Entry | None:
        return next((entry for entry in self.methods if entry.slug == slug), None)

    def front(self, axis: Axis) -> list[str]:
        """Slugs with a point on the Pareto front of mean accuracy against a factor: as asked for on the targets' own axis,
        where the realised one differs by rounding alone, and as realised on the other."""
        asked = axis == self.frame.primary
        points = [
            (p.target.factor if asked else getattr(p, axis), p.accuracy.mean, entry.slug)
            for entry in self.methods
            for p in entry.points
        ]
        if not points:
            return []
        on_front = statistics.pareto([p[0] for p in points], [p[1] for p in points])
        return sorted({point[2] for point, best in zip(points, on_front, strict=True) if best})


def make_standings(board: Board, grid: Grid) -> dict[Phase, Standing]:
    """The board's standings, after retraining first; a phase without any score has none."""
    columns: list[tuple[Phase, str]] = [("after", "after_accuracy"), ("before", "before_accuracy")]
    present = [phase for phase, column in columns if board.rows[column].notna().any()]
    cells = _cells(board)
    return {phase: _standing(board, grid, phase, cells) for phase in present or ["after"]}


def reading_targets(board: Board, grid: Grid) -> tuple[list[Target], Axis | None]:
    """The targets of a board; those beyond the floor of unprunable parameters are infeasible."""
    division: Any = board.key.division
    axis = grid.targets[division].axis
    architecture = grid.architectures[grid.benchmarks[board.key.benchmark].architecture]
    met = set(board.rows.loc[board.rows["status"] == "ok", "target"])
    targets = []
    for value in grid.targets_of(board.key.benchmark, division):
        label, factor = (value, math.nan) if isinstance(value, str) else (f"{value:g}", float(value))
        possible = axis != "compression" or architecture.keep(factor) is not None
        targets.append(Target(label, factor, feasible=possible or label in met))
    return targets, None if axis == "pattern" else axis


def _cells(board: Board) -> dict[tuple[str, str], dict[tuple[str, int], Any]]:
    """(submission, variant) -> (target, seed) -> row."""
    cells: dict[tuple[str, str], dict[tuple[str, int], Any]] = {}
    for rows in board.by_submission.values():
        for row in rows:
            cells.setdefault((row.submission, row.variant), {})[row.target, row.seed] = row
    return cells


def _standing(board: Board, grid: Grid, phase: Phase, cells: dict[tuple[str, str], Any]) -> Standing:
    benchmark = grid.benchmarks[board.key.benchmark]
    targets, primary = reading_targets(board, grid)
    by_seed = board.dense.set_index("seed")[f"{phase}_accuracy"]
    frame = Frame(
        phase=phase,
        seeds=list(benchmark.seeds),
        targets=targets,
        primary=primary,
        chance=100 / grid.datasets[benchmark.dataset].classes,
        reference=np.array([by_seed.get(seed, math.nan) for seed in benchmark.seeds], dtype=float),
    )
    entries = {key: make_entry(*key, rows, frame) for key, rows in cells.items()}
    methods = [entry for entry in entries.values() if entry.variant == "method"]
    slugs = sorted({slug for slug, _ in entries})
    return Standing(
        board=board,
        frame=frame,
        methods=sorted(methods, key=lambda entry: _order(entry, primary or "compression")),
        controls={slug: [entries[slug, name] for name in CONTROLS if (slug, name) in entries] for slug in slugs},
        ranks={axis: _ranks(methods, axis) for axis in ("compression", "speedup")},
        dense={name: statistics.interval(board.dense[f"{name}_accuracy"]) for name in ("before", "after")},
    )


def _ranks(methods: Iterable[Entry], axis: Axis) -> dict[str, Range]:
    """Ranges of ranks of the methods whose area exists."""
    complete = [entry for entry in methods if entry.area[axis].gap is None]
    ranges = statistics.rank_ranges(np.array([entry.area[axis].per_seed for entry in complete]))
    return {entry.slug: found for entry, found in zip(complete, ranges, strict=True)}


def _order(entry: Entry, axis: Axis) -> tuple[bool, float, str]:
    mean = entry.area[axis].interval.mean
    return (math.isnan(mean), -mean if math.isfinite(mean) else 0.0, entry.slug)
