"""`pytest tests/submissions --submission SLUG`: what is asked of every submission asked of one, without the others."""

from __future__ import annotations

import pytest

from evaluator.errors import nearest
from tests.submissions import specimens


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "test this submission only; may be given several times"
    parser.addoption("--submission", metavar="SLUG", action="append", default=[], help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Before test modules are imported, which parametrise by what is left."""
    chosen = _chosen(config)
    known = (*specimens.SLUGS, *specimens.UNREADABLE)
    for slug in chosen:
        if slug not in known:
            raise pytest.UsageError(f"there is no submission {slug!r}: {nearest(slug, known, 'see submissions/')}")
    if chosen:
        specimens.leave(chosen)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the rules of others, and of all submissions together, go."""
    if not (chosen := _chosen(config)):
        return
    mine = [item for item in items if isinstance(item, pytest.Function) and _slug(item) in chosen]
    config.hook.pytest_deselected(items=[item for item in items if item not in mine])
    items[:] = mine


def _chosen(config: pytest.Config) -> list[str]:
    return config.getoption("submission", [])  # there is none where the whole of tests/ is run


def _slug(item: pytest.Function) -> object:
    return item.callspec.params.get("slug") if hasattr(item, "callspec") else None
