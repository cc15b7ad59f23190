"""A cell: the smallest thing that is measured."""

from __future__ import annotations

from typing import Literal, NamedTuple

Track = Literal["post-training", "one-shot", "iterative", "at-init", "sparse-training"]
Division = Literal["unstructured", "semi-structured", "structured"]

SETUP: dict[str, str] = {
    "post-training": "none retrained",
    "one-shot": "S4.2",
    "iterative": "S3.2",
    "at-init": "S3.2",
    "sparse-training": "SX-A",
}
"""Comparison setup of each track, after Wang et al. 2023, Table 2."""

RETRAINED: tuple[Track, ...] = ("one-shot", "iterative", "at-init")
"""Tracks in which the evaluator trains after the mask is fixed."""

FROM_FRESH: tuple[Track, ...] = ("at-init", "sparse-training")
"""Tracks that start from initial weights; the others start from the base model."""

TRAINING: tuple[Track, ...] = ("iterative", "sparse-training")
"""Tracks in which the method itself trains the network: the whole network is then its outcome."""

UPDATING: tuple[Track, ...] = ("post-training", "one-shot")
"""Tracks in which a method may give new values to the weights that it keeps."""


def pattern(target: float | str) -> tuple[int, int] | None:
    """(n, m) of an "n:m" target: n of every m neighbours along the input are kept. None for a number."""
    if not isinstance(target, str):
        return None
    n, _, m = target.partition(":")
    return int(n), int(m)


class Cell(NamedTuple):
    """(benchmark, track, division, target, seed); ``target`` is a compression, a speedup or an "n:m" pattern."""

    benchmark: str
    track: Track
    division: Division
    target: float | str
    seed: int

    @property
    def id(self) -> str:
        """Readable, unique and stable: records and commands name a cell by it."""
        target = self.target if isinstance(self.target, str) else f"{self.target:g}"
        return f"{self.benchmark}/{self.track}/{self.division}/{target}/{self.seed}"
