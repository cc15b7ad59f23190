"""From a source to files: decode once, split by a fixed hash, digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluator.data.sources import SOURCES, Arrays, data_folder
from evaluator.data.splits import choose
from evaluator.grid import Dataset

STREAMED = {"visible": "train", "hidden": "val"}
"""Folder of a prepared data set -> folder with the pictures that are decoded on demand."""


def decode(name: str, dataset: Dataset, folder: Path) -> None:
    """Write ``folder`` with the arrays of a data set and their digests. Raises DataError when they cannot be had."""
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
    if dataset.source == "image-stream":
        for part, pictures in STREAMED.items():
            (temporary / part / "pictures").symlink_to((data_folder() / name / pictures).resolve())
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


def digest_arrays(*parts: Arrays) -> str:
    """SHA-256 over shapes and bytes of images and labels."""
    total = hashlib.sha256()
    for images, labels in parts:
        total.update(repr((images.shape, labels.shape)).encode())
        total.update(np.ascontiguousarray(images).tobytes())
        total.update(np.ascontiguousarray(labels).tobytes())
    return total.hexdigest()


def digest_files(*paths: Path) -> str | None:
    """As :func:`digest_arrays`, of what the files hold; None when one cannot be read."""
    try:
        tensors = [load_file(path) for path in paths]
        return digest_arrays(*((t["images"], t["labels"]) for t in tensors))
    except (OSError, KeyError, SafetensorError):
        return None
