"""Runs a submission in its sandbox, cell by cell, and keeps what came out by prune key.

A kill or a change of scoring therefore never prunes twice, and a cell that a kill cut short goes on from the checkpoints
that its method left. The files that the sandbox wrote are copied, not looked into.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from evaluator.artifacts import Artifacts
from evaluator.base_files import base_path, initial_seed
from evaluator.canonical import canonical_json, write_atomically
from evaluator.checkpoint_files import Unfinished
from evaluator.data.prepare import prepare
from evaluator.grid import Cell, Grid, Limits
from evaluator.grid.cells import FROM_FRESH, pattern
from evaluator.held import held_folder
from evaluator.metadata import Submission
from evaluator.records import Environment, Status
from evaluator.repository import Repository
from evaluator.sandbox import Allowance, Spec, Task, open_sandbox
from evaluator.setting import Setting


class Pruning(BaseModel):
    """How the sandbox ended for one cell; ``outcome`` is the SHA-256 of the file it wrote, if any."""

    model_config = ConfigDict(frozen=True)

    status: Status
    reason: str | None
    log: str
    seconds: float
    memory_mb: float | None
    epochs: int = 0
    environment: Environment
    limits: Limits
    outcome: str | None


class Prunings:
    """A folder with one file per prune key; the outcomes are among the artifacts."""

    def __init__(self, repository: Repository) -> None:
        self.folder = repository.state / "prunings"
        self.artifacts = Artifacts(repository.artifacts)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file with the prune key that it is kept under."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*.json"):
            if path == self._path(path.stem):
                yield path.stem, path

    def outcome(self, path: Path) -> str | None:
        """The SHA-256 of the outcome that a file names, if any."""
        try:
            return Pruning.model_validate_json(path.read_bytes()).outcome
        except (FileNotFoundError, ValidationError):
            return None

    def get(self, key: str, environment: Environment, limits: Limits) -> Pruning | None:
        """The pruning under ``key``, if it was made here under the same limits and its outcome is still whole."""
        try:
            pruning = Pruning.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        whole = pruning.outcome is None or self.artifacts.holds(pruning.outcome)
        return pruning if whole and (pruning.environment, pruning.limits) == (environment, limits) else None

    def add(self, key: str, pruning: Pruning) -> None:
        write_atomically(self._path(key), canonical_json(pruning.model_dump(mode="json")).encode())


def prune(
    submission: Submission, benchmark: str, keys: Mapping[Cell, str], setting: Setting
) -> Generator[tuple[Cell, Pruning], None, None]:
    """The pruning of every cell as soon as it is there, run now where it is not kept from before.

    Args:
        keys: cell -> prune key.
    """
    kept = Prunings(setting.repository)
    limits = setting.limits(benchmark)
    found = {} if setting.afresh else {cell: kept.get(key, setting.environment, limits) for cell, key in keys.items()}
    done = {cell: pruning for cell, pruning in found.items() if pruning is not None}
    unfinished = {cell: Unfinished(setting.repository, key, setting.environment, limits) for cell, key in keys.items()}
    missing = [cell for cell in keys if cell not in done]
    for cell in keys if setting.afresh else done:
        unfinished[cell].discard()
    yield from done.items()
    if missing:
        for cell, pruning in _run(submission, benchmark, {cell: unfinished[cell] for cell in missing}, setting):
            kept.add(keys[cell], pruning)
            unfinished[cell].discard()
            yield cell, pruning


def _run(
    submission: Submission, benchmark: str, cells: Mapping[Cell, Unfinished], setting: Setting
) -> Iterator[tuple[Cell, Pruning]]:
    """Each cell as soon as it is pruned."""
    artifacts = Artifacts(setting.repository.artifacts)
    spent = {cell: unfinished.resume() for cell, unfinished in cells.items()}
    spec = _spec(submission, benchmark, setting, {each.key: each.folder for each in cells.values()})
    with (
        held_folder(setting.repository.state / "scratch", "sandbox-") as folder,
        open_sandbox(spec, folder, setting.sandbox) as sandbox,
    ):
        for number, (cell, unfinished) in enumerate(cells.items()):
            task = _task(number, cell, submission, setting, unfinished.key)
            outcome = sandbox.run(task, unfinished.keep, spent[cell])
            stored = artifacts.add(outcome.artifact.read_bytes()) if outcome.artifact else None
            yield (
                cell,
                Pruning(
                    status=outcome.status,
                    reason=outcome.reason,
                    log=outcome.log,
                    seconds=outcome.seconds,
                    memory_mb=outcome.memory_mb,
                    epochs=outcome.epochs,
                    environment=setting.environment,
                    limits=setting.limits(benchmark),
                    outcome=stored,
                ),
            )


def _spec(submission: Submission, benchmark: str, setting: Setting, checkpoints: Mapping[str, Path]) -> Spec:
    grid = setting.grid
    entry = grid.benchmarks[benchmark]
    dataset = grid.datasets[entry.dataset]
    fresh = set(submission.metadata.tracks) <= set(FROM_FRESH)  # a trained network is nothing to start from, nor to copy
    seeds = () if fresh else entry.seeds
    return Spec(
        submission=submission,
        dataset=dataset,
        visible=prepare(entry.dataset, dataset).visible,
        bases={f"seed{seed}": base_path(setting.repository, benchmark, seed) for seed in seeds},
        limits=setting.limits(benchmark),
        pycache=setting.pycache,
        device=setting.device,
        gpu=setting.gpu,
        checkpoints=checkpoints if setting.resumable else {},
    )


def _task(number: int, cell: Cell, submission: Submission, setting: Setting, checkpoints: str) -> Task:
    grid = setting.grid
    speedup = float(cell.target) if cell.division == "structured" else None
    return Task(
        number=number,
        architecture=grid.benchmarks[cell.benchmark].architecture,
        seed=cell.seed,
        initial=initial_seed(cell.benchmark, cell.seed),
        base=None if cell.track in FROM_FRESH else f"seed{cell.seed}",
        keep=grid.keep(cell),
        speedup=speedup,
        pattern=pattern(cell.target),
        training=_allowance(cell, submission, grid),
        checkpoints=checkpoints if setting.resumable else None,
        trial=setting.trial,
    )


def _allowance(cell: Cell, submission: Submission, grid: Grid) -> Allowance | None:
    recipe = grid.method_recipe(cell.benchmark, cell.track)
    if recipe is None:
        return None
    return Allowance(
        recipe=recipe.model_dump(mode="json"),
        epochs=int(min(recipe.epochs, submission.metadata.needs.training_epochs)),
        continuous=cell.track == "sparse-training",
        memory_format=grid.architectures[grid.benchmarks[cell.benchmark].architecture].memory_format,
    )
