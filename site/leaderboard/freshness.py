"""Only what was measured of today's code, data, base models and protocol stands in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from evaluator.errors import SubmissionError, Unpinned
from evaluator.expectation import expected_inputs, of_variant
from evaluator.grid import Cell, Grid
from evaluator.grid.cells import Track
from evaluator.metadata import Submission, load_submission
from evaluator.records import Inputs, Record, stale_reasons
from evaluator.records.record import DENSE
from evaluator.repository import Repository


class Freshness:
    """Tells stale records from fresh ones, and remembers how many there were and why."""

    def __init__(self, repository: Repository, grid: Grid) -> None:
        self.grid = grid
        self.stale: Counter[tuple[str, str, str]] = Counter()
        self._submission = cache(lambda slug: _submission(repository, slug))
        self._expected = cache(self._expect)

    def only(self, records: Iterable[Record]) -> Iterator[Record]:
        """The fresh ones, and those of benchmarks that the grid does not have (which are told apart elsewhere)."""
        for record in records:
            reasons = self._reasons(record) if record.benchmark in self.grid.benchmarks else []
            if reasons:
                self.stale[record.benchmark, record.submission, "; ".join(reasons)] += 1
            else:
                yield record

    def _reasons(self, record: Record) -> list[str]:
        entry = self.grid.benchmarks[record.benchmark]
        known = (self.grid.recipe_name(record.benchmark, record.track), *entry.alternative_recipes)
        if record.recipe not in known:
            return [f"the benchmark knows no recipe {record.recipe!r} for this track"]
        expected = self._expected(record.submission, record.benchmark, record.track, record.seed, record.recipe)
        if expected is None:
            return ["the grid names no such base model, or no digest of the data"]
        if record.submission != DENSE and self._submission(record.submission) is None:
            expected = expected.model_copy(update={"submission": record.inputs.submission})
        expected = of_variant(self.grid, record.cell, expected, record.variant)
        return stale_reasons(record.inputs, expected, control=record.variant not in ("method", "dense"))

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
