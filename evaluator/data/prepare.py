"""Three files per data set: train, validation and, in a folder of its own, test; made once and checked by digest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from evaluator.canonical import digest
from evaluator.errors import DataError
from evaluator.grid import Dataset


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
    definition = {
        "name": name,
        **dataset.model_dump(mode="json", exclude={"title", "get", "class_names"}, exclude_none=True),
    }
    folder = cache_folder() / "data" / f"{name}-{digest(definition)[:12]}"
    if not folder.is_dir():
        from evaluator.data.decode import decode

        say(f"preparing {name}")
        decode(name, dataset, folder)
    prepared = _describe(folder)
    _check(name, dataset, prepared, folder)
    if thorough:
        _check_arrays(name, prepared, folder)
    return prepared


def _describe(folder: Path) -> Prepared:
    if missing := [name for name in ("train.sha256", "test.sha256") if not (folder / name).is_file()]:
        raise DataError(f"{missing[0]} is missing from the cache", where=folder, fix="delete this folder")
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


def _check_arrays(name: str, prepared: Prepared, folder: Path) -> None:
    from evaluator.data.decode import digest_files

    train = digest_files(prepared.train, prepared.validation)
    if (train, digest_files(prepared.test)) != (prepared.train_digest, prepared.test_digest):
        raise DataError(f"the cached arrays of {name} are damaged", where=folder, fix="delete this folder")
