"""What a record would rest on if it were made now: the inputs of its keys, computed without PyTorch."""

from __future__ import annotations

from evaluator.base_files import base_digest
from evaluator.canonical import digest
from evaluator.errors import GridError
from evaluator.grid import Cell, Grid
from evaluator.metadata import CONTRACT, Submission
from evaluator.records import Inputs
from evaluator.repository import Repository


class Expectation:
    """The inputs of today, for any submission and cell."""

    def __init__(self, repository: Repository, grid: Grid) -> None:
        self.repository = repository
        self.grid = grid
        self._bases: dict[tuple[str, int], str] = {}

    def inputs(self, submission: Submission | None, cell: Cell) -> Inputs:
        """The inputs of a cell; ``submission`` is None for the dense control.

        Raises:
            BaseModelError: the cell's base model is missing or damaged.
            GridError: the data set has no digest in the grid.
        """
        grid = self.grid
        benchmark = grid.benchmarks[cell.benchmark]
        dataset = grid.datasets[benchmark.dataset]
        if dataset.train_digest is None or dataset.test_digest is None:
            raise GridError(f"{benchmark.dataset} has no digest", where=self.repository.grid / "datasets.yaml")
        return Inputs(
            contract=CONTRACT,
            submission=submission.digest if submission else digest("dense"),
            train_data=dataset.train_digest,
            base=self._base(cell.benchmark, cell.seed),
            prune_protocol=grid.protocol.prune_version,
            controls_protocol=grid.protocol.controls_version,
            scoring_protocol=grid.protocol.scoring_version,
            recipe=digest(grid.recipes[benchmark.retraining_recipe].functional()),
            test_data=dataset.test_digest,
        )

    def _base(self, benchmark: str, seed: int) -> str:
        key = (benchmark, seed)
        if key not in self._bases:
            self._bases[key] = base_digest(self.repository, self.grid, benchmark, seed)
        return self._bases[key]
