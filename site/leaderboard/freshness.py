"""Whether a record was measured of today's code, data, base models and protocol, and if not, whose change that was."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from evaluator.errors import SubmissionError, Unpinned
from evaluator.expectation import expected_inputs, of_variant
from evaluator.grid import Cell, Grid
from evaluator.grid.cells import Track
from evaluator.metadata import Submission, load_submission
from evaluator.records import Inputs, Record, stale_reasons
from evaluator.records.record import DENSE
from evaluator.repository import Repository


class Verdict(NamedTuple):
    """Why a record is stale, in words; nothing where it is fresh.

    ``by_grid``: the grid changed, and nothing else; ``waits``: the cell is one that will be measured anew.
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
        self._expected = cache(self._expect)

    def judge(self, record: Record) -> Verdict:
        """Fresh are also the records of benchmarks that the grid does not have (which are told apart elsewhere)."""
        if record.benchmark not in self.grid.benchmarks:
            return FRESH
        entry = self.grid.benchmarks[record.benchmark]
        known = (self.grid.recipe_name(record.benchmark, record.track), *entry.alternative_recipes)
        if record.recipe not in known:
            return Verdict((f"the benchmark knows no recipe {record.recipe!r} for this track",))
        expected = self._expected(record.submission, record.benchmark, record.track, record.seed, record.recipe)
        if expected is None:
            return Verdict(("the grid names no such base model, or no digest of the data",))
        there = record.submission == DENSE or self._submission(record.submission) is not None
        if not there:
            expected = expected.model_copy(update={"submission": record.inputs.submission})
        expected = of_variant(self.grid, record.cell, expected, record.variant)
        reasons = stale_reasons(record.inputs, expected, control=record.variant not in ("method", "dense"))
        by_grid = bool(reasons) and record.inputs.submission == expected.submission
        return Verdict(tuple(reasons), by_grid, by_grid and there and self._asks_for(record))

    def _asks_for(self, record: Record) -> bool:
        """Whether the grid has the cell."""
        entry = self.grid.benchmarks[record.benchmark]
        known = (record.track in entry.tracks, record.division in entry.divisions, record.seed in entry.seeds)
        return all(known) and (
            record.submission == DENSE or record.target in self.grid.targets_of(record.benchmark, record.division)
        )

    def _expect(self, slug: str, benchmark: str, track: Track, seed: int, recipe: str) -> Inputs | None:
        """The same for all divisions and targets."""
        submission = None if slug == DENSE else self._submission(slug)
        try:
            return expected_inputs(self.grid, submission, Cell(benchmark, track, "unstructured", 1.0, seed), recipe)
        except Unpinned:
            return None


def _submission(repository: Repository, slug: str) -> Submission | None:
    """None where its folder is gone or unusable: its records then stand for themselves."""
    try:
        return load_submission(repository.submissions / slug)
    except SubmissionError:
        return None
