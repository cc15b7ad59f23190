"""Pictures that are decoded on demand: the same interface as images in memory, and torchvision's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.data import Prepared, prepare
from evaluator.data.images import Images
from evaluator.data.listing import path_of, rows_of
from evaluator.data.streamed import ATTEMPTS, middle, random_box, random_part
from evaluator.errors import DataError, GridError
from evaluator.grid import Dataset, Recipe, load_grid
from evaluator.networks import architecture
from evaluator.scoring import measure
from evaluator.training import train
from tests import pictures
from tests.miniature import MAGNITUDE, Miniature

CPU = torch.device("cpu")
STREAM = Dataset.model_validate(pictures.entry(train=9, validation=3, test=6, source="image-stream", class_names=[]))


def paint(root: Path) -> None:
    """Pictures that are larger than what is cut out of them, and not square."""
    pictures.paint(root / "pictures" / "train", 4, size=(40, 50))
    pictures.paint(root / "pictures" / "val", 2, size=(60, 45))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    paint(tmp_path)
    return prepare("pictures", STREAM, thorough=True)


def test_pictures_are_listed_not_decoded(data: Prepared, tmp_path: Path) -> None:
    images = Images.load(data.test, STREAM, CPU)
    assert len(images) == 6
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.stat().st_size < 1000
    assert (data.hidden / "pictures").resolve() == tmp_path / "pictures" / "val"
    assert (data.visible / "pictures").resolve() == tmp_path / "pictures" / "train"
    assert len(Images.load(data.train, STREAM, CPU)) + len(Images.load(data.validation, STREAM, CPU)) == 12


def test_a_list_says_path_and_size(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name, size in (("a/long-é.jpg", 300), ("b.jpg", 0)):
        (tmp_path / name).write_bytes(b"x" * size)
    rows = rows_of(tmp_path, [tmp_path / "a" / "long-é.jpg", tmp_path / "b.jpg"])
    assert [path_of(row.tobytes()) for row in rows] == [("a/long-é.jpg", 300), ("b.jpg", 0)]


@pytest.mark.parametrize("size", [(40, 50), (50, 40), (37, 37), (32, 300), (33, 34)])
def test_the_middle_is_torchvisions(size: tuple[int, int]) -> None:
    from torchvision import transforms

    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    picture = Image.fromarray(noise)
    theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(picture)
    assert (np.asarray(middle(picture, 224)) == np.asarray(theirs)).all()


def test_batches_are_those_of_images_in_memory(data: Prepared, tmp_path: Path) -> None:
    images = Images.load(data.test, STREAM, CPU)
    inputs, labels = images.take(torch.tensor([5, 0]))
    assert inputs.shape == (2, 3, 32, 32)
    assert inputs.dtype == torch.float32
    assert labels.tolist() == [2, 0]
    with Image.open(tmp_path / "pictures" / "val" / "white" / "0001.jpg") as picture:
        cut = middle(picture.convert("RGB"), 32)
    expected = (torch.from_numpy(np.array(cut)).permute(2, 0, 1) / 255 - 0.5) / 0.25
    assert torch.allclose(inputs[0], expected, atol=1e-5)
    ordered = list(images.in_order(4, torch.channels_last))
    assert [len(part) for part, _ in ordered] == [4, 2]
    assert ordered[0][0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(ordered[1][0][1], inputs[0])
    assert torch.equal(images.to("cpu").take(torch.tensor([5]))[0], inputs[:1])


@pytest.mark.parametrize("size", [(500, 375), (30, 400), (400, 30), (1, 1), (2, 3)])
def test_random_parts_lie_within_the_picture(size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(0)
    for draws in torch.rand(200, 4 * ATTEMPTS + 1, generator=random).tolist():
        left, upper, right, lower = random_box(size, draws)
        assert 0 <= left < right <= size[0]
        assert 0 <= upper < lower <= size[1]


def test_random_parts_are_distributed_like_torchvisions() -> None:
    from torchvision import transforms

    random = torch.Generator().manual_seed(0)
    picture, number = Image.new("RGB", (500, 400)), 3000
    torch.manual_seed(1)
    theirs = [transforms.RandomResizedCrop.get_params(picture, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(number)]
    boxes = [random_box(picture.size, draws) for draws in torch.rand(number, 4 * ATTEMPTS + 1, generator=random).tolist()]
    ours = [(upper, left, lower - upper, right - left) for left, upper, right, lower in boxes]

    def figures(parts: list[tuple[int, ...]]) -> np.ndarray:
        upper, left, height, width = np.array(parts, dtype=float).T
        return np.array([upper, left, height * width / 200_000 * 400, np.log(width / height) * 400])

    assert np.allclose(figures(ours).mean(axis=1), figures(theirs).mean(axis=1), atol=8)
    assert np.allclose(figures(ours).std(axis=1), figures(theirs).std(axis=1), atol=6)


def test_half_of_the_random_parts_are_mirrored() -> None:
    slope = Image.fromarray(np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2))
    draws = [0.5] * (4 * ATTEMPTS)
    plain, mirrored = (np.asarray(random_part(slope, 32, [*draws, last])).astype(int) for last in (0.7, 0.2))
    assert plain[0, 0, 0] < plain[0, -1, 0]
    assert (plain[:, ::-1] == mirrored).all()


def test_a_network_trains_on_a_stream_and_repeats_itself(data: Prepared) -> None:
    images = Images.load(data.train, STREAM, CPU)
    recipe = Recipe(title="x", lr=0.05, epochs=2, batch=4, augment="flip-resized-crop")
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = architecture("resnet-20").build()
        losses.append(train(model, images, recipe, seed=seed))
    assert losses[0] == losses[1] != losses[2]
    assert measure(model, Images.load(data.test, STREAM, CPU), 10, 4).score.images == 6


def test_only_a_stream_has_pictures_of_their_original_size(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    recipes = mini.read("recipes")
    recipes["digits-retraining"]["augment"] = "flip-resized-crop"
    mini.write("recipes", recipes)
    with pytest.raises(GridError, match="original size"):
        load_grid(mini.root / "evaluator" / "grid")


def test_a_picture_that_changed_or_cannot_be_decoded_is_named(data: Prepared, tmp_path: Path) -> None:
    images = Images.load(data.test, STREAM, CPU)
    path = tmp_path / "pictures" / "val" / "grey" / "0000.jpg"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError, match="cannot be decoded") as caught:
        images.take(torch.tensor([2]))
    assert caught.value.where == str(data.hidden / "pictures" / "grey" / "0000.jpg")
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="not the picture that was listed"):
        images.take(torch.tensor([2]))
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        images.take(torch.tensor([2]))


@pytest.mark.usefixtures("bubblewrap")
def test_a_method_in_the_sandbox_reads_pictures_and_no_test_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, on a benchmark of digits' size: list, prune in the sandbox, score."""
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    names = [*"abcdefghij"]
    for part, number in (("train", 4), ("val", 1)):
        pictures.paint(tmp_path / "data" / "pictures" / part, number, size=(40, 50), classes=tuple(names))
    mini = Miniature(tmp_path / "checkout")
    split = {"train": 34, "validation": 6, "test": 10}
    dataset = pictures.entry(34, 6, 10, source="image-stream", classes=10, class_names=names, split=split)
    mini.write("datasets", mini.read("datasets") | {"pictures": dataset})
    recipes = mini.read("recipes")
    recipes["digits-dense"] |= {"epochs": 1, "augment": "flip-resized-crop"}
    recipes["digits-retraining"] |= {"epochs": 1, "augment": "flip-resized-crop"}
    mini.write("recipes", recipes)
    benchmark = mini.read("benchmarks")["digits-mlp"] | {"dataset": "pictures", "architecture": "resnet-20", "seeds": [0]}
    mini.write("benchmarks", {"pictures": benchmark | {"targets": {"unstructured": [2]}}})
    mini.submit(
        "reads",
        "from pathlib import Path; assert len([*Path('/espalier/data').iterdir()]) == 3; "
        "assert len([*Path('/espalier/data/pictures').glob('*/*.jpg')]) == 40; "
        "((inputs, labels),) = job.train_batches(1, 8); assert inputs.shape == (8, 3, 32, 32); " + MAGNITUDE,
        needs={"data": True, "labels": False, "gradients": False},
    )
    mini.run("bases")
    mini.run("evaluate", "--workers", "1")
    assert {(r["submission"], r["status"], r["reason"]) for r in mini.records()} == {
        ("dense", "ok", None),
        ("reads", "ok", None),
    }
