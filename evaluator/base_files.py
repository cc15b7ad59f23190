"""Where training starts: base models, whether they are the ones that the grid names, and initial weights. No PyTorch."""

from __future__ import annotations

from pathlib import Path

from evaluator.canonical import digest_file, seed_of
from evaluator.errors import BaseModelError
from evaluator.grid import Grid
from evaluator.repository import Repository


def initial_seed(benchmark: str, seed: int) -> int:
    """What PyTorch is seeded with before it makes the initial weights of a benchmark and seed."""
    return seed_of("initialise", benchmark, seed)


def base_path(repository: Repository, benchmark: str, seed: int) -> Path:
    return repository.bases / benchmark / f"seed{seed}.safetensors"


def base_digest(repository: Repository, grid: Grid, benchmark: str, seed: int) -> str:
    """SHA-256 of a base model's file.

    Raises:
        BaseModelError: it is missing, or is not the one that the grid names.
    """
    path = base_path(repository, benchmark, seed)
    if not path.is_file():
        raise BaseModelError("this base model is missing", where=path, fix=f"espalier bases {benchmark}")
    found = digest_file(path)
    pinned = grid.bases.get(benchmark, {}).get(seed)
    if pinned is None:
        raise BaseModelError("the grid names no such base model", where=path, fix=f"espalier bases {benchmark}")
    if pinned.sha256 != found:
        raise BaseModelError(
            f"damaged: SHA-256 {found[:12]}, but the grid names {pinned.sha256[:12]}",
            where=path,
            fix="restore it from git, or delete it and run `espalier bases`",
        )
    return found


def kept_elsewhere(grid: Grid, benchmark: str, seed: int) -> bool:
    """Whether a base model is too large for git: it is downloaded, or made from published weights as they are."""
    pinned = grid.bases.get(benchmark, {}).get(seed)
    return grid.benchmarks[benchmark].dense_recipe is None or bool(pinned and pinned.url)
