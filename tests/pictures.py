"""A folder of small JPEG pictures, as a data set made up for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("black", "grey", "white")


def paint(folder: Path, number: int, *, size: tuple[int, int] = (32, 32), classes: tuple[str, ...] = CLASSES) -> None:
    """Write ``number`` noisy pictures of each class below ``folder``, of ``size`` (height, width); a class is a shade."""
    random = np.random.default_rng(0)
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            noise = random.integers(0, 60, (*size, 3))
            Image.fromarray((noise + 190 * shade // (len(classes) - 1)).astype(np.uint8)).save(
                folder / name / f"{index:04}.jpg", quality=75
            )


def entry(train: int, validation: int, test: int, **changes: Any) -> dict[str, Any]:
    """The data set as a grid says it."""
    content: dict[str, Any] = {
        "title": "Pictures",
        "source": "image-folder",
        "shape": [3, 32, 32],
        "classes": 3,
        "class_names": list(CLASSES),
        "split": {"train": train, "validation": validation, "test": test},
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "get": "paint some",
    }
    return content | changes
