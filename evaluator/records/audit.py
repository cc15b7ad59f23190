"""Churn as it is published: counted where the predictions are, and good only as long as the records name these predictions.

Predictions of every test image stay on the machine that made them; a record holds their SHA-256. What is counted from them
lies beside the records, in ``<benchmark>/audit/<submission>.jsonl``, one canonical line a figure, with the digests that it
rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.errors import StoreError
from evaluator.grid.cells import Division, Track
from evaluator.grid.schema import Digest
from evaluator.records.lines import as_lines, read_lines
from evaluator.records.signatures import SigningKey, remove, write

SCHEMA: Literal[1] = 1

Phase = Literal["before", "after"]
Digests = Annotated[dict[int, Digest], Field(description="seed -> SHA-256 of its predictions")]
Count = Annotated[int, Field(ge=0)]
Place = tuple[str, str, str, str, str, Phase]
"""Track, division, recipe, class of device, target, phase."""


class Churn(BaseModel):
    """How often pruned and dense networks answer differently: whole images, summed over pairs of networks.

    ``between`` is over the pairs of a pruned network and a dense one of another seed, ``within`` over the pairs of two
    dense ones, ``own`` over the pairs of a pruned network and the dense one of its own seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA
    benchmark: str
    submission: str
    track: Track
    division: Division
    recipe: str
    device_class: str
    target: Annotated[str, Field(description="as on the site: `8`, `2:4`")]
    phase: Phase
    pruned: Digests
    dense: Digests
    images: Annotated[int, Field(gt=0, lt=2**31)]
    between: Count
    within: Count
    own: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (self.pairs[0] and self.pairs[1]):
            raise ValueError("churn needs two dense networks and a pruned one of another seed")
        for name, pairs in zip(("between", "within", "own"), self.pairs, strict=True):
            if getattr(self, name) > pairs * self.images:
                raise ValueError(f"{name}: more images than its {pairs} pairs have")
        return self

    @property
    def pairs(self) -> tuple[int, int, int]:
        """How many pairs are behind ``between``, ``within`` and ``own``."""
        shared = len(self.pruned.keys() & self.dense.keys())
        return len(self.pruned) * len(self.dense) - shared, len(self.dense) * (len(self.dense) - 1) // 2, shared

    @property
    def against_dense(self) -> float:
        """Images on which a pruned and a dense network of another seed disagree, percent."""
        return 100 * self.between / (self.pairs[0] * self.images)

    @property
    def among_dense(self) -> float:
        """Images on which two dense networks disagree, percent."""
        return 100 * self.within / (self.pairs[1] * self.images)

    @property
    def churn(self) -> float:
        """What pruning adds to the disagreement of two networks, percent of the test images (-100 to 100)."""
        return self.against_dense - self.among_dense

    @property
    def own_seed(self) -> float | None:
        """Images on which a pruned network disagrees with the dense one of its seed, percent; None without such a pair."""
        return 100 * self.own / (self.pairs[2] * self.images) if self.pairs[2] else None

    @property
    def place(self) -> Place:
        """At most one figure of a file has it."""
        return (self.track, self.division, self.recipe, self.device_class, self.target, self.phase)


class Audits:
    """The published churn in the folder of a store; ``key`` signs every file that is written."""

    def __init__(self, folder: Path, key: SigningKey | None = None) -> None:
        self.folder = folder
        self.key = key

    def path(self, benchmark: str, submission: str) -> Path:
        return self.folder / benchmark / "audit" / f"{submission}.jsonl"

    def __iter__(self) -> Iterator[Churn]:
        """Every figure, in a fixed order. Raises StoreError where a file is damaged."""
        for path in sorted(self.folder.glob("*/audit/*.jsonl")):
            yield from self.read(path.parts[-3], path.stem).values()

    def read(self, benchmark: str, submission: str) -> dict[Place, Churn]:
        """The figures of one file; none when there is no file.

        Raises:
            StoreError: a line is damaged, of a newer schema, in the wrong file, or there twice.
        """
        found: dict[Place, Churn] = {}
        for where, figure in read_lines(self.path(benchmark, submission), Churn, "audit", _FIX):
            if (figure.benchmark, figure.submission) != (benchmark, submission):
                raise _damaged(f"this is of {figure.benchmark}/{figure.submission}, which has a file of its own", where)
            if figure.place in found:
                raise _damaged("this figure is there twice", where)
            found[figure.place] = figure
        return found

    def write(self, benchmark: str, submission: str, figures: Iterable[Churn]) -> None:
        """Replace one file; without figures it goes."""
        path = self.path(benchmark, submission)
        ordered = sorted(figures, key=lambda figure: figure.place)
        if ordered:
            write(path, as_lines(ordered), self.key)
        else:
            remove(path)


_FIX = "restore the file from git, or delete it: `espalier audit --write` makes it again where the predictions are"


def _damaged(what: str, where: str) -> StoreError:
    return StoreError(what, where=where, fix=_FIX)
