"""What there is to do: every cell of every submission against the store, with the reason. No PyTorch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evaluator.errors import Unpinned
from evaluator.expectation import Expectation, of_variant
from evaluator.grid import Cell, Grid
from evaluator.grid.cells import Division
from evaluator.messages import Measurement
from evaluator.metadata import Submission
from evaluator.pace import Pace, Work
from evaluator.records import Inputs, Record, Store, Variant, controls_of, stale_reasons
from evaluator.records.record import DENSE, SCRATCH, is_control
from evaluator.repository import Repository

State = Literal["fresh", "missing", "failed", "stale"]
STATES: tuple[State, ...] = ("fresh", "missing", "failed", "stale")
DONE: tuple[State, ...] = ("fresh", "failed")

Problem = tuple[State, list[str]]

ITS_OWN = "published, not measured here: what this machine measures stands beside a dense control of its own"
"""Why the dense control is missing where it is published."""


@dataclass(frozen=True)
class Planned:
    """One cell of one submission (None: the dense control) and what is known about it.

    ``todo`` names the variants to score; ``seconds`` estimates that from past durations, None when there are none.
    """

    submission: Submission | None
    cell: Cell
    state: State
    reasons: tuple[str, ...] = ()
    todo: tuple[Variant, ...] = ()
    seconds: float | None = None
    devices: frozenset[str] = frozenset()
    """Classes of those on which the estimate rests."""

    @property
    def slug(self) -> str:
        return self.submission.slug if self.submission else DENSE

    def as_json(self) -> dict[str, Any]:
        return {
            "submission": self.slug,
            "cell": self.cell.id,
            "state": self.state,
            "reasons": list(self.reasons),
            "todo": list(self.todo),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Plan:
    """Every cell asked for, in a fixed order."""

    cells: Sequence[Planned]
    infeasible: Sequence[Cell] = field(default_factory=list)

    @property
    def todo(self) -> list[Planned]:
        return [planned for planned in self.cells if planned.todo]

    @property
    def idle(self) -> list[Planned]:
        """What is missing or stale and is not to be run all the same."""
        return [planned for planned in self.cells if planned.state in ("missing", "stale") and not planned.todo]

    @property
    def waiting(self) -> Counter[str]:
        """How many cells are missing and cannot be run yet, by reason."""
        return Counter("; ".join(planned.reasons) for planned in self.idle)

    @property
    def states(self) -> Counter[State]:
        return Counter(planned.state for planned in self.cells)

    @property
    def devices(self) -> frozenset[str]:
        """Classes of those on which the estimates of what is to be run rest."""
        return frozenset().union(*(planned.devices for planned in self.todo))

    @property
    def seconds(self) -> float | None:
        """Estimate of the work of one worker; cells without an estimate count as the average of the others."""
        known = [planned.seconds for planned in self.todo if planned.seconds is not None]
        return sum(known) / len(known) * len(self.todo) if known else None


@dataclass(frozen=True)
class Selection:
    """Which part of the grid is asked for; an empty field means everything.

    With a ``recipe`` the retrained cells of the benchmarks that know it as an alternative are meant, by that recipe. Cells
    at targets beyond the usual ones are meant with ``stress``, or by their names.
    """

    slugs: frozenset[str] = frozenset()
    benchmarks: frozenset[str] = frozenset()
    cells: frozenset[str] = frozenset()
    recipe: str | None = None
    stress: bool = False

    def knows(self, cell: Cell, grid: Grid) -> bool:
        """Whether the asked recipe is one for this cell."""
        entry = grid.benchmarks[cell.benchmark]
        retrained = cell.track in ("one-shot", "iterative")
        return self.recipe is None or (retrained and self.recipe in entry.alternative_recipes)

    def wants(self, slug: str, cell: Cell) -> bool:
        return (
            (not self.slugs or slug in self.slugs or slug == DENSE)
            and (not self.benchmarks or cell.benchmark in self.benchmarks)
            and (not self.cells or cell.id in self.cells)
        )


def make_plan(
    repository: Repository,
    grid: Grid,
    submissions: Sequence[Submission],
    stores: Sequence[Store],
    selection: Selection,
    *,
    force: bool = False,
) -> Plan:
    """Compare the grid with the stores; a cell that is done in one of them is done.

    Args:
        force: plan every selected cell, fresh or not.
    """
    expectation = Expectation(repository, grid)
    planned: list[Planned] = []
    infeasible: list[Cell] = []
    for subject in (*submissions, None):
        slug = subject.slug if subject else DENSE
        for benchmark in grid.benchmarks:
            cells = _cells_of(subject, grid, benchmark, stress=selection.stress or bool(selection.cells))
            wanted = [cell for cell in cells if selection.wants(slug, cell)]
            wanted = [cell for cell in wanted if selection.knows(cell, grid)]
            feasible = [cell for cell in wanted if subject is None or grid.feasible(cell)]
            infeasible += [cell for cell in wanted if cell not in feasible]
            named = not selection.slugs or slug in selection.slugs  # the dense control comes along unasked
            if not named:
                beside = {(p.cell.benchmark, p.cell.track, p.cell.division) for p in planned}
                feasible = [cell for cell in feasible if (benchmark, cell.track, cell.division) in beside]
            if not feasible:
                continue
            # what is measured now goes to the last store, and needs the dense control beside it there
            alone = subject is None and any(p.todo and p.cell.benchmark == benchmark for p in planned)
            judges = _judges(expectation, stores, benchmark, slug, recipe=selection.recipe, force=force and named)
            planned += [_verdict([judge(subject, cell) for judge in judges], alone=alone) for cell in feasible]
    planned.sort(key=lambda p: p.submission is not None)
    names = {one.cell.benchmark for one in planned if one.todo}
    paces = {name: Pace(record for store in stores for record in store.of(name)) for name in names}
    return Plan([_timed(p, grid, paces, selection.recipe) if p.todo else p for p in planned], infeasible)


def _cells_of(subject: Submission | None, grid: Grid, benchmark: str, *, stress: bool) -> Iterator[Cell]:
    """A submission's cells on a benchmark: those of its division, on the tracks open to its stage."""
    divisions = grid.benchmarks[benchmark].divisions
    if subject is None:
        for division in divisions:
            yield from _dense_cells(grid, benchmark, division)
    elif subject.metadata.division in divisions:
        tracks = subject.metadata.tracks
        found = grid.cells(benchmark, subject.metadata.division, stress=stress)
        yield from (cell for cell in found if cell.track in tracks)


def _dense_cells(grid: Grid, benchmark: str, division: Division) -> Iterator[Cell]:
    entry = grid.benchmarks[benchmark]
    return (Cell(benchmark, track, division, 1.0, seed) for track in entry.tracks for seed in entry.seeds)


def _judges(
    expectation: Expectation, stores: Sequence[Store], benchmark: str, slug: str, *, recipe: str | None, force: bool
) -> list[_Judge]:
    """One for each store; one that knows nothing where there is no store."""
    published = Store(expectation.repository.published)
    read = [(store.read(benchmark, slug), store.folder == published.folder) for store in stores] or [({}, False)]
    again = any(record.pruned_in for records, _ in read for record in records.values())
    there = [Measurement.of(r) for r in published.read(benchmark, slug).values() if r.status == "ok"] if again else []
    return [_Judge(expectation, records, force, is_published, recipe, there) for records, is_published in read]


def _verdict(verdicts: Sequence[Planned], *, alone: bool) -> Planned:
    """A cell's verdict over several stores: done if so in one of them (``alone``: in the last), else what that says."""
    last = verdicts[-1]
    done = [verdict for verdict in verdicts if verdict.state in DONE]
    if not alone:
        return done[0] if done else last
    return replace(last, reasons=(ITS_OWN,)) if last.state == "missing" and done else last


def _timed(planned: Planned, grid: Grid, paces: Mapping[str, Pace], recipe: str | None) -> Planned:
    """With an estimate, from whatever was measured on the same benchmark."""
    cell, needs = planned.cell, planned.submission.metadata.needs if planned.submission else None
    by, pace = grid.method_recipe(cell.benchmark, cell.track), paces[cell.benchmark]
    own = int(min(by.epochs, needs.training_epochs)) if by and needs else 0
    epochs = {variant: _epochs(grid, cell, variant, recipe) for variant in planned.todo}
    return replace(planned, seconds=pace.seconds(Work(planned.slug, cell, epochs, own)), devices=frozenset(pace.devices))


def _epochs(grid: Grid, cell: Cell, variant: Variant, recipe: str | None) -> int:
    """Of training by the evaluator. Scratch-B's are more, of a network that is smaller by as much."""
    if cell.track == "sparse-training" and variant == "method":
        return 0
    name = grid.recipe_name(cell.benchmark, "at-init" if variant in SCRATCH else cell.track, recipe)
    return grid.recipes[name].epochs if name in grid.recipes else 0


@dataclass(frozen=True)
class _Judge:
    """Holds the records of one submission on one benchmark against what is expected of them today."""

    expectation: Expectation
    known: Mapping[tuple[Any, ...], Record]
    force: bool
    published: bool
    recipe: str | None
    there: Sequence[Measurement]
    """What is published of it, where some of it was used again."""

    def __call__(self, subject: Submission | None, cell: Cell) -> Planned:
        try:
            expected = self.expectation.inputs(subject, cell, self.recipe)
        except Unpinned as error:
            return Planned(subject, cell, "missing", (f"{error.what}: {error.fix}",))
        main: Variant = "method" if subject else "dense"
        controls = controls_of(cell) if subject else ()
        record = self._record(subject, main, cell)
        problem = self._problem(record, expected)
        if self.force and problem is None:
            problem = ("stale", ["asked for again"])
        if problem is not None:
            return self._planned(subject, cell, problem, (main, *controls))
        if record is not None and record.status != "ok":
            reason = f"{record.status}: {record.reason}" if record.reason else record.status
            return Planned(subject, cell, "failed", (reason,))
        grid = self.expectation.grid
        problems = {
            variant: self._problem(self._record(subject, variant, cell), of_variant(grid, cell, expected, variant))
            for variant in controls
        }
        todo = tuple(variant for variant in controls if problems[variant])
        first = next((found for found in problems.values() if found), None)
        return self._planned(subject, cell, first, todo) if first else Planned(subject, cell, "fresh")

    def _planned(self, subject: Submission | None, cell: Cell, problem: Problem, todo: tuple[Variant, ...]) -> Planned:
        state, reasons = problem
        if lacking := self.expectation.lacks(cell):
            return Planned(subject, cell, state, (*reasons, lacking))
        return Planned(subject, cell, state, tuple(reasons), todo)

    def _record(self, subject: Submission | None, variant: Variant, cell: Cell) -> Record | None:
        recipe = self.expectation.grid.recipe_name(cell.benchmark, cell.track, self.recipe)
        return self.known.get((subject.slug if subject else DENSE, variant, recipe, cell))

    def _problem(self, record: Record | None, expected: Inputs) -> Problem | None:
        """Why a record cannot stand, or None."""
        if record is None:
            return "missing", ["never measured"]
        if record.status == "infrastructure":
            return "missing", [f"the infrastructure failed: {record.reason}"]
        reasons = stale_reasons(record.inputs, expected, control=is_control(record.variant))
        grid = self.expectation.grid
        tier = grid.tiers[grid.benchmarks[record.benchmark].tier]
        reasons += tier.refusals(record.torches)
        for environment in record.environments:
            if self.published and environment.device_class != tier.device_class:
                reasons.append(f"measured on {environment.device_class}, the tier accepts {tier.device_class}")
        if self.published and record.sandbox == "none":
            reasons.append("measured without a sandbox")
        if record.pruned_in and not self.published and Measurement.of(record) not in self.there:
            reasons.append("measured elsewhere, and no longer published")
        return ("stale", reasons) if reasons else None
