"""From a source to three files per data set: train, validation and, in a folder of its own, test."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluator.canonical import digest
from evaluator.data.sources import SOURCES
from evaluator.errors import DataError
from evaluator.grid import Dataset

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, C, H, W) and labels (N,)."""


@dataclass(frozen=True)
class Prepared:
    """Where the arrays of a data set lie, and their digests. Only ``visible`` is ever shown to a method."""

    visible: Path
    hidden: Path
    train_digest: str
    test_digest: str

    @property
    def train(self) -> Path:
        return self.visible / "train.safetensors"

    @property
    def validation(self) -> Path:
        return self.visible / "validation.safetensors"

    @property
    def test(self) -> Path:
        return self.hidden / "test.safetensors"


def cache_folder() -> Path:
    """``ESPALIER_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("ESPALIER_CACHE") or platformdirs.user_cache_dir("espalier"))


def prepare(name: str, dataset: Dataset, *, say: Callable[[str], None] = lambda _: None, thorough: bool = False) -> Prepared:
    """The arrays of a data set, decoded and split on first use.

    Args:
        thorough: read the arrays again and compare them with their digests.

    Raises:
        DataError: the data are not there and cannot be had, or their digest is not the grid's.
    """
    definition = {"name": name, **dataset.model_dump(mode="json", exclude={"title", "get", "class_names"})}
    folder = cache_folder() / "data" / f"{name}-{digest(definition)[:12]}"
    if not folder.is_dir():
        say(f"preparing {name}")
        _decode(name, dataset, folder)
    prepared = _describe(folder)
    _check(name, dataset, prepared, folder)
    if thorough and not verify(prepared):
        raise DataError(f"the cached arrays of {name} are damaged", where=folder, fix="delete this folder")
    return prepared


def _decode(name: str, dataset: Dataset, folder: Path) -> None:
    train, test = SOURCES[dataset.source](name, dataset)
    validation = choose(name, len(train[1]), dataset.split.validation)
    parts = {
        "visible/train": (train[0][~validation], train[1][~validation]),
        "visible/validation": (train[0][validation], train[1][validation]),
        "hidden/test": test,
    }
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    for path, (images, labels) in parts.items():
        file = temporary / f"{path}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"images": np.ascontiguousarray(images), "labels": np.ascontiguousarray(labels)}, file)
    digests = {
        "train": digest_arrays(parts["visible/train"], parts["visible/validation"]),
        "test": digest_arrays(parts["hidden/test"]),
    }
    for kind, value in digests.items():
        (temporary / f"{kind}.sha256").write_text(value)
    try:
        temporary.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(temporary)


def choose(name: str, images: int, number: int) -> NDArray[np.bool_]:
    """Which of ``images`` indices a split takes: the ``number`` with the smallest hash of data set and index."""
    hashes = [hashlib.sha256(f"{name}:{index}".encode()).digest() for index in range(images)]
    chosen = np.zeros(images, dtype=np.bool_)
    chosen[sorted(range(images), key=hashes.__getitem__)[:number]] = True
    return chosen


def digest_arrays(*parts: Arrays) -> str:
    """SHA-256 over shapes and bytes of images and labels."""
    total = hashlib.sha256()
    for images, labels in parts:
        total.update(repr((images.shape, labels.shape)).encode())
        total.update(np.ascontiguousarray(images).tobytes())
        total.update(np.ascontiguousarray(labels).tobytes())
    return total.hexdigest()


def _describe(folder: Path) -> Prepared:
    return Prepared(
        visible=folder / "visible",
        hidden=folder / "hidden",
        train_digest=(folder / "train.sha256").read_text(),
        test_digest=(folder / "test.sha256").read_text(),
    )


def _check(name: str, dataset: Dataset, prepared: Prepared, folder: Path) -> None:
    pairs = ((dataset.train_digest, prepared.train_digest), (dataset.test_digest, prepared.test_digest))
    for expected, found in pairs:
        if expected is not None and expected != found:
            raise DataError(
                f"the arrays of {name} are not those of the grid (SHA-256 {found[:12]}, expected {expected[:12]})",
                where=folder,
                fix=f"delete this folder and get the data anew: {dataset.get}",
            )


def verify(prepared: Prepared) -> bool:
    """Whether the cached arrays can be read and still have the digests written beside them."""

    def read(path: Path) -> Arrays:
        tensors = load_file(path)
        return tensors["images"], tensors["labels"]

    try:
        train = digest_arrays(read(prepared.train), read(prepared.validation))
        test = digest_arrays(read(prepared.test))
    except (OSError, KeyError, SafetensorError):
        return False
    return (train, test) == (prepared.train_digest, prepared.test_digest)
