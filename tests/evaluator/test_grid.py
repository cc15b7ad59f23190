"""The fixed grid: its files, identifiers, splits and digests."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evaluator.data import prepare
from evaluator.data.splits import choose
from evaluator.errors import DataError, GridError
from evaluator.grid import Cell, load_grid
from evaluator.grid.schema import Architecture
from tests.evaluator.grids import GRID
from tests.miniature import Miniature


def test_cell_identifiers_never_change() -> None:
    """Records and commands name cells by them."""
    cells = [cell.id for cell in GRID.cells("mnist-lenet-5", "unstructured") if cell.track == "one-shot"]
    assert cells[0] == "mnist-lenet-5/one-shot/unstructured/2/0"
    assert cells[-1] == "mnist-lenet-5/one-shot/unstructured/32/2"
    assert len(cells) == len(set(cells)) == 15
    assert Cell("b", "one-shot", "structured", 1.5, 1).id == "b/one-shot/structured/1.5/1"
    assert Cell("b", "one-shot", "semi-structured", "2:4", 1).id == "b/one-shot/semi-structured/2:4/1"


def test_infeasible_targets_are_known_from_counting() -> None:
    architecture = Architecture(title="x", source="x", parameters=1000, prunable=900, macs=1)
    assert architecture.keep(2) == 400
    assert architecture.keep(9.5) == 5
    assert architecture.keep(10) is None
    assert architecture.highest_compression == pytest.approx(1000 / 101)


def test_every_benchmark_of_the_small_tiers_has_pinned_base_models_and_data() -> None:
    for name in (*GRID.in_tier("smoke"), *GRID.in_tier("toy")):
        benchmark = GRID.benchmarks[name]
        assert set(GRID.bases[name]) == set(benchmark.seeds)
        dataset = GRID.datasets[benchmark.dataset]
        assert dataset.train_digest
        assert dataset.test_digest


def test_the_digest_covers_everything(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    before = load_grid(mini.root / "evaluator" / "grid")
    recipes = mini.read("recipes")
    recipes["digits-retraining"]["lr"] = 0.02
    mini.write("recipes", recipes)
    after = load_grid(mini.root / "evaluator" / "grid")
    assert before.digest != after.digest
    assert before.benchmark_digest("digits-mlp") != after.benchmark_digest("digits-mlp")


def test_every_benchmark_says_where_its_base_models_come_from(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    benchmarks = mini.read("benchmarks")
    del benchmarks["digits-mlp"]["dense_recipe"]
    mini.write("benchmarks", benchmarks)
    with pytest.raises(GridError, match="from a dense_recipe, from a start, or from both"):
        load_grid(mini.root / "evaluator" / "grid")


def test_the_grid_has_the_tiers_of_the_protocol() -> None:
    tiers = {tier: GRID.in_tier(tier) for tier in GRID.tiers}
    assert {tier: len(names) for tier, names in tiers.items()} == {"smoke": 2, "toy": 2, "jpeg": 2, "core": 5, "scale": 4}
    assert [tier for tier in tiers if GRID.tiers[tier].ranked] == ["core", "scale"]
    for name, benchmark in GRID.benchmarks.items():
        assert len(benchmark.seeds) >= 3
        feasible = [cell for cell in GRID.cells(name, "unstructured") if GRID.keep(cell) is not None]
        assert len({cell.target for cell in feasible}) >= 3


def test_a_method_has_time_for_the_training_that_it_may_do() -> None:
    """On CIFAR even where each step of ResNet-56 takes its host 27.6 ms, and hooks as much again, with a third to spare."""
    for name in GRID.in_tier("core"):
        steps = [
            recipe.epochs * math.ceil(45_000 / recipe.batch)
            for track in ("iterative", "sparse-training")
            if (recipe := GRID.method_recipe(name, track))
        ]
        assert GRID.tiers["core"].limits.wall_seconds > 2 * max(steps) * 0.0276 * 4 / 3


def test_fresh_weights_are_trained_by_their_own_recipe_where_there_is_one() -> None:
    for track in ("at-init", "sparse-training"):
        assert GRID.recipe_name("digits-mlp", track) == "digits-fresh"
        assert GRID.recipe_name("mnist-lenet-300-100", track) == "lenet-300-100-dense"
    assert GRID.recipe_name("digits-mlp", "iterative") == "digits-retraining"
    assert GRID.method_recipe("digits-mlp", "sparse-training") == GRID.recipes["digits-fresh"]
    assert GRID.method_recipe("digits-mlp", "iterative") == GRID.recipes["digits-pruning"]
    assert GRID.method_recipe("digits-mlp", "at-init") is None


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("benchmarks", {"digits-mlp": {"dataset": "nothing"}}, "dataset 'nothing' does not exist"),
        ("recipes", {"digits-dense": {"lr": -1}}, "digits-dense.lr"),
        ("datasets", {"digits": {"mean": []}}, "digits"),
        ("tiers", {"smoke": {"surprise": 1}}, "smoke.surprise"),
        (
            "benchmarks",
            {"digits-mlp": {"tracks": ["iterative"], "pruning_recipe": None}},
            "the iterative track needs a pruning_recipe",
        ),
        ("benchmarks", {"digits-mlp": {"alternative_recipes": ["nothing"]}}, "no recipe 'nothing'"),
        ("benchmarks", {"digits-mlp": {"targets": {"unstructured": [0]}}}, "no compression above 1"),
        ("benchmarks", {"digits-mlp": {"targets": {"unstructured": ["2:4"]}}}, "no compression above 1"),
    ],
)
def test_a_mistake_in_a_grid_file_is_named(tmp_path: Path, part: str, change: dict, message: str) -> None:
    mini = Miniature(tmp_path)
    content = mini.read(part)
    for name, fields in change.items():
        content[name] |= fields
    mini.write(part, content)
    with pytest.raises(GridError) as caught:
        load_grid(mini.root / "evaluator" / "grid")
    assert message in str(caught.value)
    assert f"{part}.yaml" in str(caught.value)


def test_a_tier_says_which_versions_of_pytorch_it_refuses() -> None:
    """What is no version is refused, and not repeated: anybody may have written it into a record."""
    tier = GRID.tiers["toy"].model_copy(update={"torch": ">=2.11"})
    assert tier.refusals(["2.11.0", "2.11.0+cu130", "2.16.0.dev20261101", "3"]) == []
    assert tier.refusals(["2.10.1+cpu", "<script>", "\x1b[31m", "", "9" * 100 + "x"]) == [
        "measured with torch 2.10.1+cpu, the tier accepts >=2.11",
        *["measured with torch of no version, the tier accepts >=2.11"] * 4,
    ]


@pytest.mark.parametrize("version", ["2", "0.1", "1.x", ""])
def test_a_version_is_a_major_and_a_minor(tmp_path: Path, version: str) -> None:
    mini = Miniature(tmp_path)
    mini.write("grid", {"version": version})
    with pytest.raises(GridError, match=r"version.*grid\.yaml|grid\.yaml.*version"):
        load_grid(mini.root / "evaluator" / "grid")


def test_a_missing_or_broken_grid_file_is_named(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    path = mini.root / "evaluator" / "grid" / "tiers.yaml"
    path.write_text("a: [")
    with pytest.raises(GridError, match="not YAML"):
        load_grid(path.parent)
    path.unlink()
    with pytest.raises(GridError, match="missing"):
        load_grid(path.parent)


def test_the_split_is_a_fixed_hash_of_the_index() -> None:
    assert choose("digits", 10, 3).nonzero()[0].tolist() == [0, 1, 6]
    assert choose("digits", 1297, 197).sum() == 197
    # the index alone decides, not how many images there are
    assert (choose("mnist", 100, 100)).all()


def test_the_parts_of_digits_are_disjoint_and_whole() -> None:
    from safetensors.numpy import load_file

    data = prepare("digits", GRID.datasets["digits"], thorough=True)
    sizes = {path.stem: len(load_file(path)["labels"]) for path in (data.train, data.validation, data.test)}
    assert sizes == {"train": 1100, "validation": 197, "test": 500}
    assert data.test.parent != data.train.parent, "the test arrays must not lie where a method can see them"


def test_damaged_arrays_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path))
    data = prepare("digits", GRID.datasets["digits"], thorough=True)
    content = data.test.read_bytes()
    for damage in (content[:-1] + bytes([content[-1] ^ 1]), content[: len(content) // 2], b""):
        data.test.write_bytes(damage)
        with pytest.raises(DataError, match="damaged"):
            prepare("digits", GRID.datasets["digits"], thorough=True)


def test_missing_data_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path))
    monkeypatch.setenv("ESPALIER_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [])
    with pytest.raises(DataError) as caught:
        prepare("mnist", GRID.datasets["mnist"])
    assert "ESPALIER_DATA" in str(caught.value)


def test_data_that_are_not_the_grids_are_refused() -> None:
    changed = GRID.datasets["digits"].model_copy(update={"train_digest": "0" * 64})
    with pytest.raises(DataError, match="not those of the grid"):
        prepare("digits", changed)
