"""Which images go where: a fixed hash of the index."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def choose(name: str, images: int, number: int) -> NDArray[np.bool_]:
    """Which of ``images`` indices a split takes: the ``number`` with the smallest hash of data set and index."""
    hashes = [hashlib.sha256(f"{name}:{index}".encode()).digest() for index in range(images)]
    chosen = np.zeros(images, dtype=np.bool_)
    chosen[sorted(range(images), key=hashes.__getitem__)[:number]] = True
    return chosen
