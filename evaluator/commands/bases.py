"""`espalier bases`: make the base models that are missing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evaluator.base_files import base_digest, base_path
from evaluator.commands.options import Root, Tier, select
from evaluator.errors import UsageError
from evaluator.grid import Grid
from evaluator.repository import Repository
from evaluator.terminal import duration, err, out, safe

Pair = tuple[str, int]
"""Benchmark and seed."""


def bases(
    benchmarks: Annotated[list[str] | None, typer.Argument(help="benchmarks (default: all for this device)")] = None,
    tier: Tier = None,
    check: Annotated[
        bool, typer.Option("--check", help="only score the published weights as they are, against the grid's figures")
    ] = False,
    root: Root = None,
) -> None:
    """Make the base models that are missing, by the grid's dense recipe; those that are there are checked and kept."""
    selected = select(root, tier=tier, benchmarks=benchmarks)
    repository, grid = selected.repository, selected.grid
    names = [name for name in grid.benchmarks if not selected.selection.benchmarks or name in selected.selection.benchmarks]
    if check:
        _check(repository, grid, names)
        return
    wanted = [(name, seed) for name in names for seed in grid.benchmarks[name].seeds]
    missing = [pair for pair in wanted if not _is_there(repository, grid, *pair)]
    for pair in wanted:
        if pair not in missing:
            base_digest(repository, grid, *pair)
    out.print(f"{len(wanted) - len(missing)} base models are there and whole, {len(missing)} to make")
    if not (benchmarks or tier):
        missing = _only_here(grid, missing)
    _make(repository, grid, missing)


def _is_there(repository: Repository, grid: Grid, benchmark: str, seed: int) -> bool:
    """A file that the grid does not name is as good as none: its training was stopped before its digest was pinned."""
    return base_path(repository, benchmark, seed).is_file() and seed in grid.bases.get(benchmark, {})


def _only_here(grid: Grid, missing: list[Pair]) -> list[Pair]:
    """Unasked, a base model is made only on the class of device that its tier is for."""
    classes = {name: grid.tiers[grid.benchmarks[name].tier].device_class for name, _ in missing}
    if set(classes.values()) <= {"cpu"}:
        return missing
    from evaluator.device import environment, set_up

    here = ("cpu", environment(set_up())["device_class"])
    left_out = sorted({name for name, kind in classes.items() if kind not in here})
    if left_out:
        err.print(f"left out, as they are for another device than this; name them to make them here: {', '.join(left_out)}")
    return [(name, seed) for name, seed in missing if name not in left_out]


def _make(repository: Repository, grid: Grid, missing: list[Pair]) -> None:
    """Of a benchmark one seed after another, so that what is made is kept; all at once where that is as fast, on a GPU."""
    from evaluator.bases import make_bases, share_base
    from evaluator.device import set_up

    at_once = set_up().type == "cuda"
    for benchmark in dict.fromkeys(name for name, _ in missing):
        seeds = [seed for name, seed in missing if name == benchmark]
        while seeds:
            started = time.monotonic()
            if share_base(repository, grid, benchmark, seeds[0]):
                out.print(f"{benchmark} seed {seeds.pop(0)}: the base model of the other seeds")
                continue
            now = seeds if at_once and grid.benchmark(benchmark).dense_recipe else seeds[:1]
            found = make_bases(repository, grid, benchmark, now, say=lambda line: err.print(safe(line)))
            taken = duration(time.monotonic() - started)
            for seed, accuracy in found.items():
                out.print(f"{benchmark} seed {seed}: {accuracy:.2f} % on the test set, {taken}")
            seeds = [seed for seed in seeds if seed not in found]


def _check(repository: Repository, grid: Grid, names: list[str]) -> None:
    """Exit with 1 when published weights do not get as many test images right as the grid says."""
    from evaluator.bases import score_published
    from evaluator.device import set_up

    known = [name for name in names if (start := grid.benchmarks[name].start) and start.correct is not None]
    if not known:
        raise UsageError("the grid states no figure of published weights for these benchmarks")
    set_up()
    differ = False
    for name in known:
        score = score_published(repository, grid, name, say=lambda line: err.print(safe(line)))
        start = grid.benchmarks[name].start
        expected = start.correct if start else None
        differ |= score.correct != expected
        verdict = "as expected" if score.correct == expected else f"expected {expected}"
        out.print(f"{name}: the published weights get {score.correct} of {score.images} test images right, {verdict}")
    if differ:
        raise typer.Exit(1)
