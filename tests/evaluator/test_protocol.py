"""The protocol's sources do not change without a decision about its version."""

from __future__ import annotations

import pytest

from evaluator.protocol import PACKAGE, SOURCES, sources
from tests.evaluator.grids import GRID
from tests.evaluator.test_architecture import MODULES, imports

ENTRIES = {"prune": "evaluator.sandbox.task", "scoring": "evaluator.scorer", "controls": "evaluator.controls"}
DECIDE_NOTHING = (
    *("artifacts", "checkpoint_files", "checkpoints", "contract", "downloads", "errors", "expectation", "forking", "held"),
    *("grid.cells", "grid.loader", "grid.schema", "machine", "memory", "messages", "metadata", "repository"),
    *("records.audit", "records.changes", "records.keys", "records.lines"),
    *("records.record", "records.signatures", "records.store", "source"),
    *("sandbox.given", "sandbox.hints", "sandbox.spec"),
)
"""They find, check, carry and keep what others compute; what the grid says is in the keys, or pinned as its constants."""


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


@pytest.mark.parametrize("part", ["prune", "scoring"])
def test_whatever_the_figures_rest_on_is_pinned(part: str) -> None:
    """A module that is new among them is named in one list or the other: somebody has decided whether it counts."""
    pinned = {name for names in SOURCES.values() for name in names}
    undecided = {name for name in reachable(ENTRIES[part]) if file_of(name) not in pinned}
    assert undecided <= {f"evaluator.{name}" for name in DECIDE_NOTHING}


def test_what_decides_nothing_is_pinned_nowhere() -> None:
    reached = reachable(*ENTRIES.values())
    assert {f"evaluator.{name}" for name in DECIDE_NOTHING} <= reached
    assert not {file_of(f"evaluator.{name}") for name in DECIDE_NOTHING} & {n for names in SOURCES.values() for n in names}


def reachable(*starts: str) -> set[str]:
    """The modules that these import, at whatever place and through whatever others, without packages that only gather."""
    found: set[str] = set()
    ahead = [*starts]
    while ahead:
        if (name := ahead.pop()) not in found:
            found.add(name)
            ahead += imports(MODULES[name], top_level=False)
    return {name for name in found if MODULES[name].name != "__init__.py" or name == "evaluator.networks"}


def file_of(name: str) -> str:
    return str(MODULES[name].relative_to(PACKAGE))
