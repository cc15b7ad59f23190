"""Why a number is there, and when it is stale.

A key is the digest of its inputs, and the inputs are kept beside it, so that a stale record can say which one changed.
*What* was measured is in the keys; *where* is provenance, and only has to lie within the environments that the tier accepts.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evaluator.canonical import digest
from evaluator.grid.cells import Cell


class Inputs(BaseModel):
    """Everything that decides a record, each as a version or a digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contract: int
    submission: str
    """Digest of code and functional metadata; of the control's version for the dense control."""
    train_data: str
    base: str
    prune_protocol: int
    controls_protocol: int
    scoring_protocol: int
    recipe: str
    test_data: str
    training: str | None = None
    """Of the recipe by which a method may train itself; None on tracks without."""
    grid: Annotated[int | None, Field(ge=2, exclude_if=lambda value: value is None)] = None
    """The grid's major version from the second on; keys of the first do not have it."""


PRUNE_INPUTS = ("contract", "submission", "train_data", "base", "prune_protocol", "training", "grid")
SCORE_INPUTS = ("base", "scoring_protocol", "recipe", "test_data", "train_data", "grid")

_WORDS = {
    "contract": "the contract changed",
    "submission": "the submission's code or functional metadata changed",
    "train_data": "the training data changed",
    "base": "the base model changed",
    "prune_protocol": "the pruning protocol changed",
    "controls_protocol": "the protocol of the controls changed",
    "scoring_protocol": "the scoring protocol changed",
    "recipe": "the retraining recipe changed",
    "test_data": "the test data changed",
    "training": "the recipe by which methods train changed",
    "grid": "the grid is another major version",
}


def prune_key(cell: Cell, inputs: Inputs) -> str:
    """Key of what a method yields for a cell: masks, and weights where it may update them."""
    return digest({"cell": cell.id, **inputs.model_dump(include=set(PRUNE_INPUTS), exclude_none=True)})


def score_key(artifact: str, cell: Cell, inputs: Inputs) -> str:
    """Key of a measurement: two cells that yield the same artifact for the same base and seed share it."""
    scored = {"benchmark": cell.benchmark, "track": cell.track, "seed": cell.seed}
    return digest({"artifact": artifact, **scored, **inputs.model_dump(include=set(SCORE_INPUTS), exclude_none=True)})


def stale_reasons(recorded: Inputs, expected: Inputs, *, control: bool = False) -> list[str]:
    """What changed since a record was made, in words; empty when it is fresh.

    A version change names both versions. The protocol of the controls counts for controls only.
    """
    reasons = []
    for name, words in _WORDS.items():
        if name == "controls_protocol" and not control:
            continue
        old, new = getattr(recorded, name), getattr(expected, name)
        if old != new:
            reasons.append(f"{words} ({old} -> {new})" if isinstance(old, int) else words)
    return reasons
