"""Checkouts to measure in: this project's grid and templates, and nothing kept from before."""

from __future__ import annotations

from pathlib import Path

from evaluator.repository import Repository
from tests.site.synthetic import make_repository

ROOT = Path(__file__).parents[1]


def checkout(root: Path) -> Repository:
    """An empty checkout, in which no chart is kept."""
    repository = make_repository(root)
    repository.cache.unlink()
    for name in ("bases", "site", "templates"):
        (root / name).symlink_to(ROOT / name)
    return repository
