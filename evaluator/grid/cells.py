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
