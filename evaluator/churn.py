"""Churn from stored predictions: on how many test images do two networks answer differently? No PyTorch here.

Hooker et al. (1911.05248) compare modal labels of 30 networks with those of 30 others. With the few seeds of a grid a mode
means nothing; the mean disagreement of pairs does, beside that of two dense networks (see `evaluator.records.audit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluator.artifacts import Artifacts
from evaluator.errors import StoreError

Labels = NDArray[np.generic]
"""The predicted class of every test image."""


class Disagreement(NamedTuple):
    """Images on which two networks differ, summed over pairs of networks."""

    between: int
    within: int
    own: int


def enough(pruned: Mapping[int, object], dense: Mapping[int, object]) -> bool:
    """Whether there is a pair of dense networks, and one of a pruned and a dense network of another seed."""
    return len(dense) > 1 and len(pruned) > 0


def disagreement(pruned: Mapping[int, Labels], dense: Mapping[int, Labels]) -> Disagreement:
    """Count where networks differ; both populations are by seed, and a seed's pair is counted apart (``own``)."""
    return Disagreement(
        between=sum(_differing(p, d) for i, p in pruned.items() for j, d in dense.items() if i != j),
        within=sum(_differing(one, other) for one, other in combinations(dense.values(), 2)),
        own=sum(_differing(p, dense[seed]) for seed, p in pruned.items() if seed in dense),
    )


def _differing(one: Labels, other: Labels) -> int:
    return int(np.count_nonzero(one != other))


class Predictions:
    """What networks answered, by digest, as far as it is on this machine; every file is read once."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._read: dict[str, Labels | None] = {}

    def of(self, digests: Mapping[int, str], images: int, classes: int) -> dict[int, Labels]:
        """Seed -> labels, of the seeds whose predictions are here and whole.

        Raises:
            StoreError: a file is what its digest says, but not a prediction of every image.
        """
        found = {seed: self._labels(sha256, images, classes) for seed, sha256 in digests.items()}
        return {seed: labels for seed, labels in found.items() if labels is not None}

    def _labels(self, sha256: str, images: int, classes: int) -> Labels | None:
        if sha256 not in self._read:
            content = self.artifacts.read(sha256)
            self._read[sha256] = None if content is None else _decoded(content, images, classes, self.artifacts.path(sha256))
        return self._read[sha256]


def _decoded(content: bytes, images: int, classes: int, where: Path) -> Labels:
    kind = np.dtype(np.uint8 if classes <= 256 else "<i2")
    if len(content) != images * kind.itemsize:
        what = f"{len(content)} bytes cannot be the predictions of {images} images"
        raise StoreError(what, where=where, fix="delete the records that name this digest and measure them again")
    return np.frombuffer(content, dtype=kind)
