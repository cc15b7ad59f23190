"""The protocol's sources do not change without a decision about its version."""

from __future__ import annotations

import pytest

from evaluator.protocol import SOURCES, sources
from tests.evaluator.grids import GRID


@pytest.mark.parametrize("part", sorted(SOURCES))
def test_the_sources_are_the_pinned_ones(part: str) -> None:
    pinned, found = GRID.protocol.files[part], sources()[part]
    changed = [name for name in found if pinned.get(name) != found[name]]
    assert not changed, (
        f"{', '.join(changed)} decide the figures and changed: raise {part}_version in evaluator/grid/protocol.yaml "
        "if a figure could differ, then run `python -m evaluator.protocol`"
    )
    assert set(pinned) == set(found)
    assert getattr(GRID.protocol, f"{part}_version") >= 1
