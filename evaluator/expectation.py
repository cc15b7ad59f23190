"""What a record would rest on if it were made now: the inputs of its keys, computed without PyTorch."""

from __future__ import annotations

from evaluator.base_files import base_digest, base_path, initial_seed, kept_elsewhere
from evaluator.canonical import digest
from evaluator.errors import Unpinned
from evaluator.grid import Cell, Grid
from evaluator.grid.cells import FROM_FRESH
from evaluator.metadata import CONTRACT, Submission
from evaluator.records import Inputs, Variant
from evaluator.records.record import SCRATCH
from evaluator.repository import Repository


def of_variant(grid: Grid, cell: Cell, inputs: Inputs, variant: Variant) -> Inputs:
    """The inputs of a control: a network from scratch is trained from initial weights, by the recipe for these."""
    if variant not in SCRATCH:
        return inputs
    fresh = cell._replace(track="at-init")
    recipe = grid.recipes[grid.recipe_name(cell.benchmark, fresh.track)]
    return inputs.model_copy(update={"base": _start(grid, fresh), "recipe": digest(recipe.functional())})


def expected_inputs(grid: Grid, submission: Submission | None, cell: Cell, recipe: str | None = None) -> Inputs:
    """The inputs of a cell by what the grid pins; ``submission`` is None for the dense control.

    Args:
        recipe: an alternative to the benchmark's retraining recipe.

    Raises:
        Unpinned: the grid names no base model for the cell, or no digest of its data, yet.
    """
    benchmark = grid.benchmarks[cell.benchmark]
    dataset = grid.datasets[benchmark.dataset]
    if dataset.train_digest is None or dataset.test_digest is None:
        raise Unpinned(f"no digest of {benchmark.dataset} yet", fix=f"espalier bases {cell.benchmark}")
    name = grid.recipe_name(cell.benchmark, cell.track, recipe)
    training = grid.method_recipe(cell.benchmark, cell.track)
    return Inputs(
        contract=CONTRACT,
        submission=submission.digest if submission else digest("dense"),
        train_data=dataset.train_digest,
        base=_start(grid, cell),
        prune_protocol=grid.protocol.prune_version,
        controls_protocol=grid.protocol.controls_version,
        scoring_protocol=grid.protocol.scoring_version,
        recipe=digest(grid.recipes[name].functional() if name in grid.recipes else name),
        test_data=dataset.test_digest,
        training=digest(training.functional()) if training else None,
        grid=grid.major if grid.major > 1 else None,
    )


def _start(grid: Grid, cell: Cell) -> str:
    """Digest of what training starts from."""
    if cell.track in FROM_FRESH:
        return digest(["initial", grid.benchmarks[cell.benchmark].architecture, initial_seed(cell.benchmark, cell.seed)])
    base = grid.bases.get(cell.benchmark, {}).get(cell.seed)
    if base is None:
        raise Unpinned("no base model yet", fix=f"espalier bases {cell.benchmark}")
    return base.sha256


class Expectation:
    """The inputs of today in a checkout, whose base models are looked at."""

    def __init__(self, repository: Repository, grid: Grid) -> None:
        self.repository = repository
        self.grid = grid
        self._checked: set[tuple[str, int]] = set()

    def inputs(self, submission: Submission | None, cell: Cell, recipe: str | None = None) -> Inputs:
        """As :func:`expected_inputs`. Raises BaseModelError also for a file that is damaged or missing from the checkout."""
        inputs = expected_inputs(self.grid, submission, cell, recipe)
        base = (cell.benchmark, cell.seed)
        if cell.track not in FROM_FRESH and base not in self._checked and self.lacks(cell) is None:
            base_digest(self.repository, self.grid, *base)
            self._checked.add(base)
        return inputs

    def lacks(self, cell: Cell) -> str | None:
        """What to get before the cell can be measured here: a base model that is not part of the checkout."""
        base = (cell.benchmark, cell.seed)
        if not kept_elsewhere(self.grid, *base) or base_path(self.repository, *base).is_file():
            return None
        return f"its base model is not here: espalier bases {cell.benchmark}"
