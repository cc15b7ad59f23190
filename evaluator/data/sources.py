"""Where images come from. Each source yields (train images, train labels), (test images, test labels)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from evaluator.data.listing import pictures_in, rows_of
from evaluator.data.splits import choose
from evaluator.errors import DataError
from evaluator.grid import Dataset

Arrays = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]
"""Images (N, C, H, W), or a list of pictures (N, width) where they are decoded on demand; and labels (N,)."""


def data_folder() -> Path:
    """``ESPALIER_DATA``, or the user's data folder."""
    return Path(os.environ.get("ESPALIER_DATA") or platformdirs.user_data_dir("espalier"))


def from_scikit_learn(name: str, dataset: Dataset) -> tuple[Arrays, Arrays]:
    """The 1,797 digits that scikit-learn ships; they have no official test set, so one is chosen by hash."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.uint8)
    test = choose(f"{name}-test", len(labels), dataset.split.test)
    return (images[~test], labels[~test]), (images[test], labels[test])


def from_torchvision(name: str, dataset: Dataset) -> tuple[Arrays, Arrays]:
    """MNIST and CIFAR from ``data_folder()``, downloaded there if they are missing and there is a network."""
    from torchvision import datasets

    classes: dict[str, Callable[..., Any]] = {
        "mnist": datasets.MNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    root = data_folder()
    try:
        train, test = (_read(classes[name], root, train=train) for train in (True, False))
    except Exception as error:  # of many kinds: it depends on where a file ends, or which byte is another
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
        fix = f"delete what is damaged, then {dataset.get}"
        raise DataError(f"{name} is missing or damaged ({reason})", where=root, fix=fix) from None
    return train, test


def _read(kind: Callable[..., Any], root: Path, *, train: bool) -> Arrays:
    try:
        part = kind(root, train=train, download=False)
    except RuntimeError:
        part = kind(root, train=train, download=True)
    images, labels = _images(part.data), np.asarray(part.targets, dtype=np.uint8)
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images have {len(labels)} labels")
    return images, labels


def _images(data: Any) -> NDArray[np.uint8]:
    images = np.asarray(data, dtype=np.uint8)
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)


def from_image_folder(name: str, dataset: Dataset) -> tuple[Arrays, Arrays]:
    """Pictures in ``data_folder()/<name>/{train,test}/<class>/``, decoded in the order of classes and file names."""
    train, test = _folders(data_folder() / name, ("train", "test"), dataset)
    return _decode(train, dataset), _decode(test, dataset)


def from_image_stream(name: str, dataset: Dataset) -> tuple[Arrays, Arrays]:
    """A list of the pictures in ``data_folder()/<name>/{train,val}/<class>/``, which are decoded on demand."""
    root = data_folder() / name
    train, test = _folders(root, ("train", "val"), dataset)
    return _list(train, root / "train"), _list(test, root / "val")


def _folders(root: Path, parts: tuple[str, str], dataset: Dataset) -> tuple[Any, Any]:
    split = dataset.split
    train = pictures_in(root / parts[0], dataset, (split.train or 0) + split.validation)
    return train, pictures_in(root / parts[1], dataset, split.test)


def _decode(pictures: Any, dataset: Dataset) -> Arrays:
    """Raises DataError, naming the file, for a picture that is damaged or of another shape."""
    images = np.empty((len(pictures), *dataset.shape), dtype=np.uint8)
    for index, (path, _) in enumerate(pictures.samples):
        try:
            images[index] = np.asarray(pictures.loader(path)).transpose(2, 0, 1)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot be decoded ({error})", where=path, fix=dataset.get) from None
    return images, np.asarray(pictures.targets, dtype=np.uint8)


def _list(pictures: Any, folder: Path) -> Arrays:
    rows = rows_of(folder, [Path(path) for path, _ in pictures.samples])
    return rows, np.asarray(pictures.targets, dtype=np.int16)


SOURCES: dict[str, Callable[[str, Dataset], tuple[Arrays, Arrays]]] = {
    "scikit-learn": from_scikit_learn,
    "torchvision": from_torchvision,
    "image-folder": from_image_folder,
    "image-stream": from_image_stream,
}
