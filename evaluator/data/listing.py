"""Pictures in folders, one folder a class: which there are, and a list of them in place of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.errors import DataError
from evaluator.grid import Dataset

SIZE_BYTES = 8


def pictures_in(folder: Path, dataset: Dataset, number: int) -> Any:
    """The pictures below ``folder`` as a torchvision ImageFolder, sorted by class and file name.

    Raises:
        DataError: the folder is missing, or does not hold ``number`` pictures of the data set's classes.
    """
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise DataError(f"not there ({error})", where=folder, fix=dataset.get) from None
    if found.classes != (dataset.class_names or found.classes) or len(found.classes) != dataset.classes:
        names = ", ".join(found.classes[:10])
        raise DataError(f"has {len(found.classes)} classes ({names}), not those of the grid", where=folder, fix=dataset.get)
    if len(found) != number:
        raise DataError(f"holds {len(found):,} pictures of {number:,}: an incomplete copy", where=folder, fix=dataset.get)
    return found


def rows_of(folder: Path, paths: Sequence[Path]) -> NDArray[np.uint8]:
    """A list of files as bytes: (N, width), each row the path below ``folder``, zeros, and the file's size."""
    names = [str(path.relative_to(folder)).encode() for path in paths]
    width = max(map(len, names))
    lines = (
        name.ljust(width, b"\0") + path.stat().st_size.to_bytes(SIZE_BYTES, "little")
        for name, path in zip(names, paths, strict=True)
    )
    return np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(len(names), width + SIZE_BYTES)


def path_of(row: bytes) -> tuple[str, int]:
    """(path, size) of one such row."""
    return row[:-SIZE_BYTES].rstrip(b"\0").decode(), int.from_bytes(row[-SIZE_BYTES:], "little")
