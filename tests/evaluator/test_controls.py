"""Controls: what they keep, from which weights they start, and that nothing but what is kept tells them from a method."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from evaluator.admission import Artifact
from evaluator.base_files import base_path, initial_seed
from evaluator.bases import initial_model, load_base
from evaluator.channels import channel_groups
from evaluator.controls import control
from evaluator.errors import EspalierError
from evaluator.evaluation import Bench, Candidate, evaluate
from evaluator.grid import Cell
from evaluator.grid.cells import Track
from evaluator.messages import Measurement
from evaluator.records import Variant
from evaluator.repository import Repository
from evaluator.selection import keep_top
from tests.evaluator.grids import GRID
from tests.sandbox.arena import ROOT

NAME = "digits-mlp"
REPOSITORY = Repository(ROOT)
FIGURES = ("before", "after", "trainability", "retraining_epochs")


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(REPOSITORY, GRID, NAME, torch.device("cpu"))


def weights_of(bench: Bench, track: Track, seed: int = 0) -> dict[int, Tensor]:
    cell = Cell(bench.name, track, "unstructured", 2.0, seed)
    return {position: weight.detach() for position, weight in bench.weights(bench.start(cell)).items()}


def candidate(bench: Bench, cell: Cell, variant: Variant, artifact: Artifact | None) -> Candidate:
    found = Candidate("key", cell, variant, bench.count(artifact or Artifact()), artifact)
    found.choose_recipe(bench)
    found.build(bench)
    return found


def figures(bench: Bench, *candidates: Candidate) -> list[list[object]]:
    def of(measurement: Measurement) -> list[object]:
        return [getattr(measurement, name) for name in FIGURES]

    return [of(measurement) for measurement in evaluate(bench, candidates)]


@pytest.mark.parametrize(
    ("name", "track", "seed"), [(NAME, "one-shot", 0), (NAME, "at-init", 2), ("digits-cnn", "one-shot", 2)]
)
def test_who_keeps_everything_is_the_dense_control(name: str, track: Track, seed: int) -> None:
    """The same start, order, rate and epochs, and the same statistics of BatchNorm: all figures, bit for bit."""
    bench = Bench(REPOSITORY, GRID, name, torch.device("cpu"))
    cell = Cell(name, track, "unstructured", 1.0, seed)
    everything = Artifact({i: torch.ones_like(weight, dtype=torch.bool) for i, weight in weights_of(bench, track).items()})
    (dense,) = figures(bench, candidate(bench, cell, "dense", None))
    (method,) = figures(bench, candidate(bench, cell, "method", everything))
    assert method == dense
    (other,) = figures(bench, candidate(bench, cell._replace(seed=1), "dense", None))
    assert other != dense


@pytest.mark.parametrize("variant", ["method", "matched-random", "matched-magnitude"])
@pytest.mark.parametrize("track", ["at-init", "one-shot"])
def test_training_begins_with_the_weights_of_the_track(bench: Bench, track: Track, variant: Variant) -> None:
    """At initialisation the initial ones, else the base model's; new for each seed, and zero where nothing is kept."""
    for seed in (0, 1):
        cell = Cell(NAME, track, "unstructured", 4.0, seed)
        start = initial_model(bench.architecture, initial_seed(NAME, seed))
        if track == "one-shot":
            load_base(base_path(REPOSITORY, NAME, seed), start)
        weights = weights_of(bench, track, seed)
        kept = Artifact({i: keep_top(weight.abs(), weight.numel() // 4) for i, weight in weights.items()})
        if variant != "method":
            kept = control(variant, kept, weights, [], None, seed)
        built = candidate(bench, cell, variant, kept).model
        masks = {id(weight): kept.masks[i] for i, weight in bench.weights(built).items()}
        for found, expected in zip(built.parameters(), start.parameters(), strict=True):
            assert torch.equal(found, expected * masks.get(id(found), torch.ones(1)))
    assert not torch.equal(weights_of(bench, track, 0)[0], weights_of(bench, track, 1)[0])


@pytest.mark.parametrize("variant", ["scratch-e", "scratch-b"])
def test_scratch_begins_with_new_weights(bench: Bench, variant: Variant) -> None:
    """As wide as what the method left, of the initial weights and none of the base model; whichever channels those were."""
    cell = Cell(NAME, "one-shot", "structured", 2.0, 0)
    first, last = (
        Artifact(channels={group.position: (torch.arange(group.size) < group.size // 2) ^ turn for group in bench.groups})
        for turn in (False, True)
    )
    built = [candidate(bench, cell, variant, artifact) for artifact in (first, last)]
    for one, other in zip(*(found.model.parameters() for found in built), strict=True):
        assert torch.equal(one, other)
    initial, trained = bench.initial(0), bench.start(cell)
    small = candidate(bench, cell, "method", first).model
    for name, module in built[0].model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        assert module.weight.shape == small.get_submodule(name).weight.shape
        rows, columns = module.weight.shape
        wide = {of: of.get_submodule(name).weight[:rows, :columns] for of in (initial, trained)}
        spread = math.sqrt(initial.get_submodule(name).in_features / columns)
        torch.testing.assert_close(module.weight, wide[initial] * spread)
        assert not torch.allclose(module.weight, wide[trained] * spread, atol=0.01)
        torch.testing.assert_close(module.bias, initial.get_submodule(name).bias[:rows] * spread)
    recipe, fresh = built[0].recipe, bench.fresh_recipe
    assert recipe is not None
    assert fresh is not None
    longer = built[0].counts.speedup if variant == "scratch-b" else 1
    assert recipe == fresh.model_copy(update={"epochs": int(fresh.epochs * longer)})


def test_matched_random_asks_nothing_of_the_weights(bench: Bench) -> None:
    """Every weight is as likely; another seed and another layer draw anew."""
    weights = weights_of(bench, "one-shot")
    masks = {i: keep_top(weight.abs(), weight.numel() // 4) for i, weight in weights.items()}
    drawn = [control("matched-random", Artifact(masks), weights, [], None, seed).masks for seed in range(200)]
    for position, weight in weights.items():
        keep = weight.numel() // 4
        assert {int(kept[position].sum()) for kept in drawn} == {keep}
        share = torch.stack([kept[position].float() for kept in drawn]).mean(0)
        error = math.sqrt(keep / weight.numel() * (1 - keep / weight.numel()) / len(drawn))
        assert float((share - keep / weight.numel()).abs().max()) < 5 * error, "five standard errors, of all weights"
        assert abs(float(torch.corrcoef(torch.stack([share.flatten(), weight.abs().flatten()]))[0, 1])) < 0.1
    first, second = (drawn[0][position].flatten()[:1000] for position in (0, 1))
    assert 0.5 < float((first == second).float().mean()) < 0.75, "two draws of a quarter agree in five of eight"
    same = control("matched-random", Artifact(masks), weights, [], None, 7).masks
    assert all(torch.equal(same[i], drawn[7][i]) for i in weights)


def test_matched_magnitude_keeps_the_largest(bench: Bench) -> None:
    weights = weights_of(bench, "one-shot")
    random = torch.Generator().manual_seed(0)
    masks = {i: torch.rand(weight.shape, generator=random) < 0.3 for i, weight in weights.items()}
    kept = control("matched-magnitude", Artifact(masks), weights, [], None, 0).masks
    for position, weight in weights.items():
        assert int(kept[position].sum()) == int(masks[position].sum())
        assert float(weight.abs()[kept[position]].min()) >= float(weight.abs()[~kept[position]].max())


def test_matched_magnitude_of_channels_goes_by_the_l1_norm_of_filters(bench: Bench) -> None:
    """Summed over all that make a channel; neither the largest weight nor the Euclidean norm says the same."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.LeakyReLU(), nn.Linear(3, 2))
    groups = channel_groups(model, "3", (1, 2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[4.0, 0, 0, 0], [1.5, -1.5, 1.5, 1.5], [2, -2, 0.5, 0.5]]))
    chosen = Artifact(channels={0: torch.tensor([True, False, True])})
    kept = control("matched-magnitude", chosen, weights_of(bench, "one-shot"), groups, None, 0).channels
    assert {position: mask.tolist() for position, mask in kept.items()} == {0: [False, True, True]}


def test_a_small_network_that_computes_something_else_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared with the one in which the channels are silent before anything is scored."""
    bench = Bench(REPOSITORY, GRID, "digits-cnn", torch.device("cpu"))
    cell = Cell(bench.name, "one-shot", "structured", 2.0, 0)
    channels = {group.position: torch.arange(group.size) % 2 == 0 for group in bench.groups}
    candidate(bench, cell, "method", Artifact(channels=channels))
    monkeypatch.setattr("evaluator.evaluation.remove_channels", lambda model, groups, kept: copy.deepcopy(model))
    with pytest.raises(EspalierError, match="differs from the one in which they are silenced"):
        candidate(bench, cell, "method", Artifact(channels=channels))
