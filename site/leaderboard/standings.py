"""A board at one phase: who stands where, with ranges of ranks, controls beside the methods, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluator.grid import Grid
from evaluator.records.record import CONTROLS
from leaderboard import statistics
from leaderboard.entries import Axis, Entry, Figure, Frame, Phase, Target, by_seed, make_entry
from leaderboard.load import Board
from leaderboard.rows import Row
from leaderboard.statistics import Interval

Range = tuple[int, int]


@dataclass(frozen=True)
class Standing:
    """Methods in the order of their area on the board's own axis, or of their mean drop where there is no such axis: where
    the targets are patterns, or there is one only. The order inside one range of ranks means nothing.

    ``drop_ranks``: ranges of ranks by mean drop, for boards without an axis. ``target_ranks``: those by accuracy at each
    target, of the methods with all seeds.
    """

    board: Board
    frame: Frame
    methods: list[Entry]
    controls: dict[str, list[Entry]]
    ranks: dict[Axis, dict[str, Range]]
    drop_ranks: dict[str, Range]
    target_ranks: list[dict[str, Range]]
    dense: dict[Phase, Interval]

    @property
    def id(self) -> str:
        return f"{self.board.key.anchor}-{self.frame.phase}"

    @property
    def axes(self) -> tuple[Axis | None, ...]:
        """Of its charts, the targets' own first; None stands for targets side by side."""
        if self.frame.primary is None:
            return (None,)
        return (self.frame.primary, "speedup" if self.frame.primary == "compression" else "compression")

    @property
    def variants(self) -> list[str]:
        """Kinds of controls with an accuracy beside its methods, in the order of the tables."""
        every = (control for controls in self.controls.values() for control in controls)
        present = {control.variant for control in every if any(point.accuracy.n for point in control.points)}
        return [name for name in CONTROLS if name in present]

    def ranking(self) -> dict[str, Range]:
        """Ranges of ranks by what the methods are ordered by."""
        return self.drop_ranks if self.frame.primary is None else self.ranks[self.frame.primary]

    def alone(self, slug: str) -> Standing:
        """One method with its controls and the dense one: what follows from these records, whatever others there are."""
        return replace(
            self,
            board=self.board.alone(slug),
            methods=[entry for entry in self.methods if entry.slug == slug],
            controls={name: own for name, own in self.controls.items() if name == slug},
            ranks={}, drop_ranks={}, target_ranks=[],
        )  # fmt: skip

    @property
    def figures(self) -> dict[str, Figure]:
        """What the methods are ordered by."""
        axis = self.frame.primary
        return {entry.slug: entry.mean_drop if axis is None else entry.area[axis] for entry in self.methods}

    def ahead(self) -> dict[str, list[str]]:
        """Slug -> those that are significantly worse by what the methods are ordered by, in their order."""
        return _ahead({slug: figure.per_seed for slug, figure in self.figures.items() if figure.gap is None})

    def ahead_at(self, position: int) -> dict[str, list[str]]:
        """The same by accuracy at a target, of the methods with all seeds."""
        return _ahead(complete_at(self.methods, position, len(self.frame.seeds)))

    def entry(self, slug: str) -> Entry | None:
        return next((entry for entry in self.methods if entry.slug == slug), None)

    def accuracies(self, entry: Entry, position: int) -> list[float]:
        """Of an entry at a target, in the order of the seeds; nan where there is none. Stress targets come last."""
        return by_seed((entry.points + entry.stress)[position].trials, self.frame.seeds)

    def front(self, axis: Axis) -> list[str]:
        """Slugs with a point on the Pareto front of mean accuracy against a factor: as asked for on the targets' own axis,
        where the realised one differs by rounding and by what whole channels allow, and as realised on the other. Of points
        with all seeds, none of them collapsed."""
        asked = axis == self.frame.primary
        points = [
            (p.target.factor if asked else getattr(p, axis), p.accuracy.mean, entry.slug)
            for entry in self.methods
            for p in entry.points
            if p.accuracy.n == len(self.frame.seeds) and not p.collapsed
        ]
        if not points:
            return []
        on_front = statistics.pareto([p[0] for p in points], [p[1] for p in points])
        return sorted({point[2] for point, best in zip(points, on_front, strict=True) if best})

    def hypervolume(self, axis: Axis, entries: Sequence[Entry]) -> Interval:
        """Over seeds: what the points of entries dominate above (1, chance), in doublings of the factor times points.

        Factors are those of the front. Of no seeds where a cell of an entry is missing or has failed.
        """
        if not entries or any(entry.mean_drop.gap for entry in entries):
            return statistics.interval(())
        asked = axis == self.frame.primary
        volumes = []
        for seed in self.frame.seeds:
            points = [
                (point.target.factor if asked else getattr(trial, axis), trial.accuracy)
                for entry in entries for point in entry.points for trial in point.trials
                if trial.seed == seed and trial.scored and not trial.collapsed
            ]  # fmt: skip
            x, accuracy = zip(*points, strict=True) if points else ((), ())
            volumes.append(statistics.hypervolume(x, accuracy, self.frame.chance))
        return statistics.interval(volumes)

    @property
    def lossless(self) -> float:
        """The hypervolume of a method that loses nothing up to the largest target, on the targets' own axis."""
        largest = max((target.factor for target in self.frame.feasible), default=math.nan)
        return math.log2(largest) * (self.dense[self.frame.phase].mean - self.frame.chance)


def make_standings(board: Board, grid: Grid) -> dict[Phase, Standing]:
    """The board's standings, after retraining first; a phase without any score has none."""
    phases: tuple[Phase, ...] = ("after", "before")
    present = [phase for phase in phases if any(row.accuracy(phase) is not None for row in board.records)]
    cells = _cells(board)
    return {phase: _standing(board, grid, phase, cells) for phase in present or ["after"]}


def reading_targets(board: Board, grid: Grid) -> tuple[list[Target], Axis | None]:
    """The targets of a board, and their axis; those beyond the floor of what may not be pruned are infeasible.

    Patterns have no axis, nor has a single target: a curve needs two.
    """
    division: Any = board.key.division
    axis = grid.targets[division].axis
    architecture = grid.architectures[grid.benchmarks[board.key.benchmark].architecture]
    met = {row.target for row in board.records if row.status == "ok"}
    targets = []
    for value in grid.targets_of(board.key.benchmark, division):
        label, factor = (value, math.nan) if isinstance(value, str) else (f"{value:g}", float(value))
        match axis:
            case "compression":
                possible = architecture.keep(factor) is not None
            case "speedup":
                possible = factor <= architecture.highest_speedup
            case "pattern":
                possible = True
        targets.append(Target(label, factor, feasible=possible or label in met))
    several = sum(target.feasible for target in targets) > 1
    return targets, axis if several and axis != "pattern" else None


def stress_targets(board: Board) -> list[Target]:
    """Those beyond the ranked ones of which the board has records."""
    measured = board.stress & {row.target for row in board.records}
    return [Target(label, float(label), feasible=True) for label in sorted(measured, key=float)]


def _cells(board: Board) -> dict[tuple[str, str], dict[tuple[str, int], Row]]:
    """(submission, variant) -> (target, seed) -> row."""
    cells: dict[tuple[str, str], dict[tuple[str, int], Row]] = {}
    for rows in board.by_submission.values():
        for row in rows:
            cells.setdefault((row.submission, row.variant), {})[row.target, row.seed] = row
    return cells


def _standing(board: Board, grid: Grid, phase: Phase, cells: dict[tuple[str, str], dict[tuple[str, int], Row]]) -> Standing:
    benchmark = grid.benchmarks[board.key.benchmark]
    targets, primary = reading_targets(board, grid)
    dense = {row.seed: accuracy for row in board.dense_rows if (accuracy := row.accuracy(phase)) is not None}
    frame = Frame(
        phase=phase,
        seeds=list(benchmark.seeds),
        targets=targets,
        primary=primary,
        chance=100 / grid.datasets[benchmark.dataset].classes,
        reference=[float(dense.get(seed, math.nan)) for seed in benchmark.seeds],
        stress=stress_targets(board),
    )
    axes: tuple[Axis, ...] = ("compression", "speedup")
    entries = {key: make_entry(*key, rows, frame) for key, rows in cells.items()}
    methods = [entry for entry in entries.values() if entry.variant == "method"]
    slugs = sorted({slug for slug, _ in entries})
    return Standing(
        board=board,
        frame=frame,
        methods=sorted(methods, key=lambda entry: _order(entry, primary)),
        controls={slug: [entries[slug, name] for name in CONTROLS if (slug, name) in entries] for slug in slugs},
        ranks={axis: _ranks({entry.slug: entry.area[axis] for entry in methods}) for axis in axes},
        drop_ranks=_ranks({entry.slug: entry.mean_drop for entry in methods}) if primary is None else {},
        target_ranks=[_ranks_at(methods, position, len(frame.seeds)) for position in range(len(targets))],
        dense={"before": _dense(board, "before"), "after": _dense(board, "after")},
    )


def _dense(board: Board, phase: Phase) -> Interval:
    known = (row.accuracy(phase) for row in board.dense_rows)
    return statistics.interval([accuracy for accuracy in known if accuracy is not None])


def _ranks(figures: Mapping[str, Figure]) -> dict[str, Range]:
    """Ranges of ranks of the methods whose figure exists."""
    complete = {slug: figure.per_seed for slug, figure in figures.items() if figure.gap is None}
    return dict(zip(complete, statistics.rank_ranges(np.array(list(complete.values()))), strict=True))


def _ahead(complete: Mapping[str, Sequence[float]]) -> dict[str, list[str]]:
    worse = statistics.beaten(list(complete.values())) if complete else np.zeros((0, 0), dtype=bool)
    return {slug: [other for i, other in enumerate(complete) if worse[i, j]] for j, slug in enumerate(complete)}


def complete_at(methods: list[Entry], position: int, seeds: int) -> dict[str, list[float]]:
    """Slug -> accuracies by seed at a target, of those that have all."""
    scored = {m.slug: [trial.accuracy for trial in m.points[position].trials if trial.scored] for m in methods}
    return {slug: accuracies for slug, accuracies in scored.items() if len(accuracies) == seeds}


def _ranks_at(methods: list[Entry], position: int, seeds: int) -> dict[str, Range]:
    complete = complete_at(methods, position, seeds)
    return dict(zip(complete, statistics.rank_ranges(np.array(list(complete.values()))), strict=True))


def _order(entry: Entry, axis: Axis | None) -> tuple[bool, float, str]:
    mean = (entry.mean_drop if axis is None else entry.area[axis]).interval.mean
    return (math.isnan(mean), -mean if math.isfinite(mean) else 0.0, entry.slug)
