"""What a record says that must not depend on when, where or by whom it was measured."""

from __future__ import annotations

from typing import Any

FIGURES = ("status", "counts", "before", "after", "trainability", "artifact", "prune_key", "score_key")
RANDOM = (
    "import torch; "
    "return job.keep_highest({i: torch.rand(w.shape, generator=job.generator) for i, w in job.weights()}, scope='layer')"
)


def figures(records: list[dict[str, Any]]) -> dict[tuple[object, ...], dict[str, Any]]:
    """What must not depend on when, where in the order, or by how many workers a cell was measured."""
    names = ("submission", "variant", "benchmark", "target", "seed")
    return {tuple(r[name] for name in names): {name: r[name] for name in FIGURES} for r in records}
