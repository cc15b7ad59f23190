"""Whether a record was measured of today's code, data, base models and protocol, and if not, whose change that was."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from evaluator.errors import SubmissionError, Unpinned
from evaluator.expectation import expected_inputs, of_variant
from evaluator.grid import Cell, Grid
from evaluator.grid.cells import Division, Track
from evaluator.metadata import Submission, load_submission
from evaluator.records import Inputs, Variant, stale_reasons
from evaluator.records.record import DENSE, is_control
from evaluator.repository import Repository
from leaderboard.rows import Row, Values


class Verdict(NamedTuple):
    """Why a record is stale, in words; nothing where it is fresh.

    ``by_grid``: inputs that the grid names changed, and nothing else, and not to another major; ``waits``: the cell is one
    that will be measured anew.
    """

    reasons: tuple[str, ...] = ()
    by_grid: bool = False
    waits: bool = False


FRESH = Verdict()


class Freshness:
    """Judges records by a checkout and its grid."""

    def __init__(self, repository: Repository, grid: Grid) -> None:
        self.grid = grid
        self._submission = cache(lambda slug: _submission(repository, slug))
        self._reasons = cache(self._compare)
        self._expected = cache(self._expect)

    def judge(self, row: Row) -> Verdict:
        """Fresh are also the records of benchmarks that the grid does not have (which are told apart elsewhere)."""
        if row.benchmark not in self.grid.benchmarks:
            return FRESH
        what = (row.submission, row.variant, row.benchmark, row.track, row.seed, row.recipe)
        reasons, by_grid = self._reasons(*what, row.inputs, frozenset(filter(None, (row.torch, row.pruned_torch))))
        there = row.submission == DENSE or self._submission(row.submission) is not None
        return Verdict(reasons, by_grid, by_grid and there and self._asks_for(row))

    def _compare(
        self,
        slug: str,
        variant: Variant,
        benchmark: str,
        track: Track,
        seed: int,
        recipe: str,
        inputs: Values,
        torches: frozenset[str],
    ) -> tuple[tuple[str, ...], bool]:
        """Why a record is stale, and whether by the grid alone; the same for all divisions and targets."""
        recorded = Inputs(**dict(zip(Inputs.model_fields, inputs, strict=True)))
        entry = self.grid.benchmarks[benchmark]
        if recipe not in (self.grid.recipe_name(benchmark, track), *entry.alternative_recipes):
            return (f"the benchmark knows no recipe {recipe!r} for this track",), False
        cell = Cell(benchmark, track, "unstructured", 1.0, seed)
        expected = self._expected(slug, cell, recipe)
        if expected is None:
            return ("the grid names no such base model, or no digest of the data",), False
        if slug != DENSE and self._submission(slug) is None:
            expected = expected.model_copy(update={"submission": recorded.submission})
        expected = of_variant(self.grid, cell, expected, variant)
        reasons = stale_reasons(recorded, expected, control=is_control(variant))
        refused = self.grid.tiers[entry.tier].refusals(sorted(torches))
        comparable = recorded.grid == expected.grid and not refused
        by_grid = bool(reasons) and comparable and recorded.submission == expected.submission
        return (*reasons, *refused), by_grid

    def _asks_for(self, row: Row) -> bool:
        """Whether the grid has the cell."""
        entry = self.grid.benchmarks[row.benchmark]
        known = (row.track in entry.tracks, row.division in entry.divisions, row.seed in entry.seeds)
        return all(known) and (row.submission == DENSE or row.target in self._targets(row.benchmark, row.division))

    def _targets(self, benchmark: str, division: Division) -> list[str]:
        every = (*self.grid.targets_of(benchmark, division), *self.grid.stress_of(benchmark, division))
        return [one if isinstance(one, str) else f"{one:g}" for one in every]

    def _expect(self, slug: str, cell: Cell, recipe: str) -> Inputs | None:
        submission = None if slug == DENSE else self._submission(slug)
        try:
            return expected_inputs(self.grid, submission, cell, recipe)
        except Unpinned:
            return None


def _submission(repository: Repository, slug: str) -> Submission | None:
    """None where its folder is gone or unusable: its records then stand for themselves."""
    try:
        return load_submission(repository.submissions / slug)
    except SubmissionError:
        return None
