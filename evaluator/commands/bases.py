"""`espalier bases`: train the base models that are missing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evaluator.base_files import base_digest, base_path
from evaluator.commands.options import Root, Tier, select
from evaluator.grid import Grid
from evaluator.repository import Repository
from evaluator.terminal import duration, err, out, safe


def _is_there(repository: Repository, grid: Grid, benchmark: str, seed: int) -> bool:
    """A file that the grid does not name is as good as none: its training was stopped before its digest was pinned."""
    return base_path(repository, benchmark, seed).is_file() and seed in grid.bases.get(benchmark, {})


def bases(
    benchmarks: Annotated[list[str] | None, typer.Argument(help="benchmarks (default: all)")] = None,
    tier: Tier = None,
    root: Root = None,
) -> None:
    """Train the base models that are missing, by the grid's dense recipe; those that are there are checked and kept."""
    selected = select(root, tier=tier, benchmarks=benchmarks)
    repository, grid = selected.repository, selected.grid
    names = [name for name in grid.benchmarks if not selected.selection.benchmarks or name in selected.selection.benchmarks]
    wanted = [(name, seed) for name in names for seed in grid.benchmarks[name].seeds]
    missing = [(name, seed) for name, seed in wanted if not _is_there(repository, grid, name, seed)]
    for pair in wanted:
        if pair not in missing:
            base_digest(repository, grid, *pair)
    out.print(f"{len(wanted) - len(missing)} base models are there and whole, {len(missing)} to train")
    for name, seed in missing:
        from evaluator.bases import train_base
        from evaluator.device import set_up

        set_up()
        started = time.monotonic()
        accuracy = train_base(repository, grid, name, seed, say=lambda line: err.print(safe(line)))
        out.print(f"{name} seed {seed}: {accuracy:.2f} % on the test set, {duration(time.monotonic() - started)}")
