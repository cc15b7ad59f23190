"""Base models: trained once for each seed, from random or from published weights; and benchmarks that have none yet."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from evaluator.downloads import download
from evaluator.errors import BaseModelError
from evaluator.grid import Start, load_grid
from evaluator.networks import architecture
from evaluator.published import load_published
from tests import pictures
from tests.miniature import Miniature

OTHER_NAMES = {"stage": "layer", "classifier": "linear"}


def publish(model: nn.Module, path: Path) -> Start:
    """Save a ResNet as the file of published weights that it might have come from."""
    tensors = {name: t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    for ours, theirs in OTHER_NAMES.items():
        tensors = {name.replace(ours, theirs, 1): tensor for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}, "best_prec1": 12.5}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Start(url=f"https://example.org/{path.name}", sha256=sha256, names="akamaster", source="a test")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
    return tmp_path / "weights" / "resnet20.th"


def test_published_weights_find_their_places(weights: Path) -> None:
    original, model = (architecture("resnet-20").build() for _ in range(2))
    load_published(publish(original, weights), model)
    for name, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_weights_that_are_not_the_grids_are_refused(weights: Path) -> None:
    start = publish(architecture("resnet-20").build(), weights)
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(BaseModelError, match="but the grid names"):
        load_published(start, architecture("resnet-20").build())


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    start = publish(architecture("resnet-20").build(), weights)
    with pytest.raises(BaseModelError, match="do not fit the network"):
        load_published(start, architecture("resnet-56").build())


class Trap:
    def __reduce__(self) -> object:
        return (print, ("this must not run",))


def test_a_pickle_runs_nothing(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights.parent.mkdir()
    torch.save({"state_dict": Trap()}, weights)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    start = Start(url=f"https://example.org/{weights.name}", sha256=sha256, names="akamaster", source="a test")
    with pytest.raises(BaseModelError, match="do not fit the network"):
        load_published(start, architecture("resnet-20").build())
    assert capsys.readouterr().out == ""


def test_weights_that_cannot_be_downloaded_say_where_to_put_them(weights: Path) -> None:
    start = Start(url="https://localhost:9/resnet20.th", sha256="0" * 64, names="akamaster", source="a test")
    with pytest.raises(BaseModelError, match="cannot be downloaded") as caught:
        load_published(start, architecture("resnet-20").build())
    assert caught.value.where == str(weights)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures each time: to decode them takes torchvision, whose import takes longer than the tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def mini(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Miniature:
    """A miniature whose benchmark ``pictures`` starts from published weights and has no base model yet."""
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ESPALIER_CACHE", str(cache))
    names = tuple("abcdefghij")
    for part, number in (("train", 4), ("test", 1)):
        pictures.paint(tmp_path / "data" / "pictures" / part, number, classes=names)
    start = publish(architecture("resnet-20").build(), tmp_path / "data" / "weights" / "resnet20.th")
    mini = Miniature(tmp_path / "checkout")
    recipes = mini.read("recipes")
    recipes["cifar10-jpeg-dense"] |= {"epochs": 2, "batch": 16}
    mini.write("recipes", recipes)
    dataset = pictures.entry(train=34, validation=6, test=10, classes=10, class_names=list(names))
    mini.write("datasets", mini.read("datasets") | {"pictures": dataset})
    benchmark = {
        "title": "Pictures",
        "dataset": "pictures",
        "architecture": "resnet-20",
        "tier": "jpeg",
        "start": start.model_dump(),
        "dense_recipe": "cifar10-jpeg-dense",
        "retraining_recipe": "cifar-retraining",
        "tracks": ["post-training"],
        "divisions": ["unstructured"],
        "seeds": [0, 1],
        "targets": {"unstructured": [2]},
    }
    mini.write("benchmarks", {"pictures": benchmark})
    return mini


def test_base_models_start_from_published_weights_and_are_kept(mini: Miniature) -> None:
    done = mini.run("bases", "pictures")
    assert "0 base models are there and whole, 2 to make" in done.stdout
    assert "pictures seed 1: epoch 2/2" in done.stderr
    grid = load_grid(mini.root / "evaluator" / "grid")
    assert set(grid.bases["pictures"]) == {0, 1}
    assert grid.bases["pictures"][0] != grid.bases["pictures"][1], "a seed has an order of its own"
    assert grid.datasets["pictures"].train_digest is not None, "whoever has the data first pins their digests"
    path = mini.root / "bases" / "pictures" / "seed1.safetensors"
    assert {t.dtype for t in load_file(path).values()} == {torch.float16, torch.int64}
    path.unlink()
    again = mini.run("bases", "pictures")
    assert "1 base models are there and whole, 1 to make" in again.stdout
    assert load_grid(mini.root / "evaluator" / "grid").bases == grid.bases, "the same once more"
    assert "2 base models are there" in mini.run("bases", "pictures").stdout


def test_a_benchmark_without_base_models_waits(mini: Miniature) -> None:
    mini.submit("largest")
    plan = mini.json("plan")
    assert plan["states"] == {"fresh": 0, "missing": 4, "failed": 0, "stale": 0}
    assert plan["waiting"] == {"no digest of pictures yet: espalier bases pictures": 4}
    assert "0 to run" not in mini.run("plan").stdout
    done = mini.run("evaluate")
    assert "4 cells cannot be run: no digest of pictures yet: espalier bases pictures" in done.stderr
    assert "cannot be run here" in done.stdout
    assert mini.json("grid")["benchmarks"][0]["bases"] == {}


def test_unasked_only_tiers_for_this_device_are_measured(mini: Miniature) -> None:
    mini.submit("largest")
    mini.run("bases", "pictures")
    tiers = mini.read("tiers")
    tiers["jpeg"]["device_class"] = "a-better-one"
    mini.write("tiers", tiers)
    done = mini.run("evaluate", "--device", "cpu")
    assert "4 cells cannot be run: the tier jpeg is for a-better-one, this is cpu: --tier jpeg" in done.stderr
    assert mini.records() == []
    mini.run("evaluate", "--tier", "jpeg", "--device", "cpu")
    assert {record["status"] for record in mini.records()} == {"ok"}


def without_training(mini: Miniature, **start: object) -> None:
    """The published weights become the base model as they are."""
    benchmarks = mini.read("benchmarks")
    del benchmarks["pictures"]["dense_recipe"]
    benchmarks["pictures"]["start"] |= start
    mini.write("benchmarks", benchmarks)


def test_published_weights_can_be_the_base_model_of_every_seed(mini: Miniature) -> None:
    without_training(mini)
    made = mini.run("bases", "pictures")
    assert "epoch" not in made.stderr
    assert "pictures seed 1: the base model of the other seeds" in made.stdout
    first, second = (mini.root / "bases" / "pictures" / f"seed{seed}.safetensors" for seed in (0, 1))
    assert first.samefile(second)
    published = torch.load(mini.root.parent / "data" / "weights" / "resnet20.th", weights_only=True)["state_dict"]
    assert torch.equal(load_file(first)["classifier.weight"], published["module.linear.weight"].half())


def test_a_base_model_outside_the_checkout_is_needed_only_to_measure(mini: Miniature) -> None:
    without_training(mini)
    mini.submit("largest")
    mini.run("bases", "pictures")
    mini.run("evaluate", "--device", "cpu")
    pins = mini.read("bases")
    shutil.rmtree(mini.root / "bases")
    mini.submit("other")
    plan = mini.json("plan")
    assert plan["states"] == {"fresh": 4, "missing": 2, "failed": 0, "stale": 0}
    assert plan["waiting"] == {"never measured; its base model is not here: espalier bases pictures": 2}
    mini.run("bases", "pictures")
    assert mini.read("bases") == pins
    assert mini.json("plan")["waiting"] == {}


def test_another_base_model_than_the_grids_is_not_made(mini: Miniature) -> None:
    without_training(mini)
    mini.write("bases", {"pictures": {0: {"sha256": "0" * 64}}})
    assert "not the base model that the grid names" in mini.run("bases", "pictures", code=1).stderr
    assert not (mini.root / "bases" / "pictures").exists()


def test_published_weights_are_checked_against_what_others_measured(mini: Miniature) -> None:
    without_training(mini, correct=11)
    assert "of 10 test images right, expected 11" in mini.run("bases", "--check", code=1).stdout
    correct = int(mini.run("bases", "--check", code=1).stdout.split(" test images")[0].split()[-3])
    benchmarks = mini.read("benchmarks")
    benchmarks["pictures"]["start"]["correct"] = correct
    mini.write("benchmarks", benchmarks)
    assert "as expected" in mini.run("bases", "--check").stdout
    assert not (mini.root / "bases" / "pictures").exists()


def test_a_download_is_the_file_of_the_grid_or_nothing(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "folder" / "target"
    source.write_bytes(b"content")
    said: list[str] = []
    with pytest.raises(BaseModelError, match="the grid names 000000000000"):
        download(source.as_uri(), path, "0" * 64, say=said.append)
    assert not path.exists()
    download(source.as_uri(), path, hashlib.sha256(b"content").hexdigest(), say=said.append)
    assert path.read_bytes() == b"content"
    assert said == 2 * [f"downloading {source.as_uri()}"]


def test_a_base_model_with_a_url_is_downloaded(mini: Miniature) -> None:
    mini.write("bases", {"pictures": {0: {"sha256": "0" * 64, "url": "https://localhost:9/seed0.safetensors"}}})
    done = mini.run("bases", "pictures", code=1)
    assert "downloading https://localhost:9/seed0.safetensors" in done.stderr
    assert "cannot be downloaded" in done.stderr


def test_unasked_base_models_are_made_for_this_device_only(mini: Miniature) -> None:
    tiers = mini.read("tiers")
    tiers["jpeg"]["device_class"] = "a-better-one"
    mini.write("tiers", tiers)
    before = mini.read("bases")
    done = mini.run("bases")
    assert "left out, as they are for another device than this; name them to make them here: pictures" in done.stderr
    assert mini.read("bases").keys() == before.keys()
