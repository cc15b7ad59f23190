"""How far the grid is measured: the cells that every method should have on a benchmark, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evaluator.errors import Unpinned
from evaluator.expectation import expected_inputs
from evaluator.grid import Cell, Grid
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import Site
from leaderboard.rows import Row
from leaderboard.statistics import interval

Kind = tuple[str, str]
"""A track and a division."""


@dataclass(frozen=True)
class Tally:
    """Cells of one method on one benchmark (controls and alternative recipes not counted).

    ``waiting`` counts the cells that nobody can measure yet, since the grid names no base model or no digest of the data.
    """

    measured: int = 0
    failed: int = 0
    missing: int = 0
    waiting: int = 0

    @property
    def cells(self) -> int:
        return self.measured + self.failed + self.missing + self.waiting

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.measured + other.measured, self.failed + other.failed, self.missing + other.missing,
                     self.waiting + other.waiting)  # fmt: skip


@dataclass(frozen=True)
class State:
    """How far a benchmark is measured, in cells of its methods; ``infeasible`` counts targets, each once for its division.

    ``methods``: those that belong on the benchmark; ``tallies`` has every method with a cell or a record there.
    """

    name: str
    title: str
    tier: str
    methods: int
    tallies: dict[str, Tally]
    infeasible: int
    local: int
    dense: float | None

    @property
    def measured(self) -> int:
        return sum(tally.measured for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        return sum(tally.failed for tally in self.tallies.values())

    @property
    def missing(self) -> int:
        return sum(tally.missing for tally in self.tallies.values())

    @property
    def waiting(self) -> int:
        return sum(tally.waiting for tally in self.tallies.values())

    @property
    def cells(self) -> int:
        return self.measured + self.failed + self.missing + self.waiting


@lru_cache(maxsize=1)
def states(site: Site) -> Mapping[str, State]:
    """Of every benchmark, counted once for all pages."""
    return {name: state(site, name) for name in site.grid.benchmarks}


def state(site: Site, name: str) -> State:
    """Count the cells of one benchmark: a published record before one of this machine."""
    benchmark = site.grid.benchmarks[name]
    here = site.results.of_benchmark.get(name, [])
    usual = {track: site.grid.recipe_name(name, track) for track in benchmark.tracks}
    rows = _first((row.submission, row.cell, row) for row in here
                  if row.variant == "method" and row.recipe == usual.get(row.track))  # fmt: skip
    measured: dict[str, set[Kind]] = {}
    for row in rows:
        measured.setdefault(row.submission, set()).add((row.track, row.division))
    kinds = _kinds(site, name, measured)
    expected = {cell.id: pinned(site.grid, cell) for cell in _cells(site.grid, name)}
    rows = [row for row in rows if row.cell in expected]
    beyond = [cell for cell in _all_cells(site.grid, name) if not site.grid.feasible(cell)]
    dense = interval(_dense(here))
    return State(
        name=name, title=benchmark.title, tier=site.grid.tiers[benchmark.tier].title, methods=len(kinds),
        tallies=_tallies(rows, kinds, _per_kind(site.grid, name), expected),
        infeasible=len({(cell.division, cell.target) for cell in beyond}),
        local=sum(row.origin != PUBLISHED for row in rows), dense=dense.mean if dense.n else None,
    )  # fmt: skip


def _tallies(
    rows: list[Row], kinds: dict[str, set[Kind]], per_kind: dict[Kind, list[str]], expected: dict[str, bool]
) -> dict[str, Tally]:
    """Slug -> its cells. ``rows``: one per measured cell; ``expected``: cell -> whether it can be measured."""
    done: dict[str, dict[str, bool]] = {}
    for row in rows:
        done.setdefault(row.submission, {})[row.cell] = row.status == "ok"
    found = {}
    for slug in sorted(kinds.keys() | done.keys()):
        own = done.get(slug, {})
        measured = sum(own.values())
        left = [cell for kind in kinds.get(slug, ()) for cell in per_kind.get(kind, []) if cell not in own]
        missing = sum(expected[cell] for cell in left)
        found[slug] = Tally(measured, len(own) - measured, missing, len(left) - missing)
    return found


def _dense(here: list[Row]) -> list[float]:
    """Accuracy of the base models, percent: one a seed."""
    found: dict[int, float] = {}
    for row in here:
        if row.variant == "dense" and row.before_accuracy is not None:
            found.setdefault(row.seed, row.before_accuracy)
    return list(found.values())


def _first(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Of tuples that end with a row, the first row of each beginning."""
    rows: dict[tuple[Any, ...], Row] = {}
    for *place, row in found:
        rows.setdefault(tuple(place), row)
    return list(rows.values())


def pinned(grid: Grid, cell: Cell) -> bool:
    """Whether a cell can be measured: its data have digests, and its base model, where it starts from one, is there."""
    try:
        expected_inputs(grid, None, cell)
    except Unpinned:
        return False
    return True


def _kinds(site: Site, name: str, measured: dict[str, set[Kind]]) -> dict[str, set[Kind]]:
    """Slug -> tracks and divisions in which it belongs on a benchmark: by its metadata, or else by its records."""
    benchmark = site.grid.benchmarks[name]
    kinds = {slug: own for slug, own in measured.items() if slug not in site.submissions}
    for slug, submission in site.submissions.items():
        division = submission.metadata.division
        own: set[Kind] = {(track, division) for track in submission.metadata.tracks if track in benchmark.tracks}
        if own and division in benchmark.divisions:
            kinds[slug] = own
    return kinds


def _all_cells(grid: Grid, name: str) -> Iterator[Cell]:
    for division in grid.benchmarks[name].divisions:
        yield from grid.cells(name, division)


def _cells(grid: Grid, name: str) -> Iterator[Cell]:
    """Those that can be met at all."""
    return (cell for cell in _all_cells(grid, name) if grid.feasible(cell))


def _per_kind(grid: Grid, name: str) -> dict[Kind, list[str]]:
    cells: dict[Kind, list[str]] = {}
    for cell in _cells(grid, name):
        cells.setdefault((cell.track, cell.division), []).append(cell.id)
    return cells
