"""2:4 sparsity by its own kernels: all but the kernels themselves, which only a GPU has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from evaluator.admission import Artifact
from evaluator.evaluation import Bench, Candidate, evaluate
from evaluator.grid import Cell
from evaluator.messages import Measurement
from evaluator.networks import ARCHITECTURES, architecture
from evaluator.networks.vit import VisionTransformer
from evaluator.records import Variant
from evaluator.repository import Repository
from evaluator.selection import has_pattern, keep_n_of_m
from evaluator.sparse_kernels import HALF, MULTIPLE, fitting_layers, half_copy, measure_half
from tests.elsewhere import THERE, elsewhere
from tests.evaluator.grids import GRID
from tests.sandbox.arena import ROOT

Timing = tuple[int, str, int]


def small_transformer() -> VisionTransformer:
    return VisionTransformer(side=16, patch=8, width=16, depth=1, heads=2, classes=16)


def wide_mlp() -> nn.Module:
    """A middle layer that the kernels take, one that they do not, and a classifier."""
    layers = {"linear1": nn.Linear(64, 32), "relu": nn.ReLU(), "linear2": nn.Linear(32, 20), "classifier": nn.Linear(20, 10)}
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), **layers))


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What the kernels were given; they stay what they were."""
    given: list[Tensor] = []

    def convert(weight: Tensor) -> Tensor:
        given.append(weight)
        return weight

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", convert)
    return given


def test_shapes_fit_as_pytorch_says() -> None:
    limits = torch.sparse.SparseSemiStructuredTensorCUSPARSELT._DTYPE_SHAPE_CONSTRAINTS[HALF]
    assert (limits.sparse_min_rows, limits.sparse_min_cols) == (MULTIPLE, MULTIPLE)


def test_linear_layers_of_a_transformer_fit_but_not_its_classifier() -> None:
    parts = ("attention.query", "attention.key", "attention.value", "attention.output", "mlp.linear1", "mlp.linear2")
    assert fitting_layers(small_transformer(), "classifier") == [f"blocks.0.{part}" for part in parts]


def test_of_the_grid_only_the_transformer_has_such_layers() -> None:
    with torch.device("meta"):
        found = {name: len(fitting_layers(kind.build(), kind.classifier)) for name, kind in ARCHITECTURES.items()}
    assert {name: number for name, number in found.items() if number} == {"vit-b-16": 72}


def test_a_copy_in_half_precision_leaves_the_network_alone(converted: list[Tensor]) -> None:
    model = small_transformer()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = fitting_layers(model, "classifier")
    copied = half_copy(model, layers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert {parameter.dtype for parameter in copied.parameters()} == {HALF}
    assert not copied.training
    assert [tuple(weight.shape) for weight in converted] == [tuple(model.get_submodule(n).weight.shape) for n in layers]
    assert not any(weight.requires_grad for weight in converted)
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(copied(images.to(HALF)).float(), model(images), atol=0.02)


def test_there_are_no_such_kernels_on_a_processor(converted: list[Tensor]) -> None:
    kind = replace(architecture("vit-b-16"), build=small_transformer, shape=(3, 16, 16))
    assert measure_half(kind.build(), kind, torch.contiguous_format, sparse=True) == ([], "")
    assert not converted


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The MLP of the digits is a wider one, on a device that is not there."""
    monkeypatch.setitem(ARCHITECTURES, "digits-mlp", replace(architecture("digits-mlp"), build=wide_mlp))
    with elsewhere():
        yield


def measured(variant: Variant, target: float | str = "2:4") -> Measurement:
    """On the track whose networks are not trained here: what counts is only how they are timed."""
    bench = Bench(Repository(ROOT), GRID, "digits-mlp", THERE)
    cell = Cell("digits-mlp", "sparse-training", "semi-structured", target, 0)
    scores = {i: weight.detach().abs().cpu() for i, weight in bench.weights(bench.start(cell)).items()}
    n, _, m = str(target).partition(":")
    artifact = Artifact({i: keep_n_of_m(score, int(n), int(m)) for i, score in scores.items()}) if m else None
    candidate = Candidate("key", cell, variant, bench.count(artifact or Artifact()), artifact)
    candidate.build(bench)
    candidate.recipe = None
    return evaluate(bench, [candidate])[0]


def timings(measurement: Measurement) -> list[Timing]:
    return [(latency.batch, latency.dtype, latency.sparse_layers) for latency in measurement.latency]


@pytest.mark.usefixtures("wide")
def test_a_pattern_is_timed_by_its_kernels(converted: list[Tensor]) -> None:
    found = measured("method")
    assert timings(found) == [(1, "float16", 1), (128, "float16", 1)]
    assert found.log == ""
    (weight,) = converted
    assert has_pattern(weight.cpu() != 0, 2, 4)


@pytest.mark.usefixtures("wide")
def test_the_dense_network_is_timed_in_half_precision_beside_it(converted: list[Tensor]) -> None:
    found = timings(measured("dense", 1.0))
    assert found[-2:] == [(1, "float16", 0), (128, "float16", 0)]
    assert {dtype for _, dtype, _ in found[:-2]} == {"float32"}
    assert not converted


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("target", ["1:4", "4:8"])
def test_other_patterns_have_no_kernels(target: str, converted: list[Tensor]) -> None:
    assert measured("method", target).latency == []
    assert not converted


@pytest.mark.usefixtures("wide")
def test_kernels_that_refuse_fail_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Tensor) -> Tensor:
        raise RuntimeError("cuSPARSELt not supported on your machine.\nat some line of C++")

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", refuse)
    found = measured("method")
    assert found.latency == []
    assert found.after is not None
    assert found.log == "no latency, since the kernels for 2:4 sparsity refuse: cuSPARSELt not supported on your machine."
