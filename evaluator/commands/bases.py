"""`espalier bases`: train the base models that are missing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evaluator.base_files import base_digest, base_path
from evaluator.commands.options import Root, Tier, select
from evaluator.terminal import duration, err, out, safe


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
    missing = [pair for pair in wanted if not base_path(repository, *pair).is_file()]
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
