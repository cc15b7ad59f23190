"""The arithmetic of a GPU: float32 in full, nothing refused for want of a repeatable kernel, the CPU's figures."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from evaluator.data.images import Images
from evaluator.evaluation import Bench
from evaluator.grid import Cell, Recipe
from evaluator.latency import measure_latency
from evaluator.networks import ARCHITECTURES
from evaluator.repository import Repository
from evaluator.scoring import recalibrate
from evaluator.selection import keep_n_of_m
from evaluator.sparse_kernels import HALF, fitting_layers, half_copy, measure_half
from evaluator.training import train
from tests.evaluator.grids import GRID, made_up
from tests.sandbox.arena import ROOT

EXACT = 1e-5
"""Of a result's norm; with products rounded to TF32 it would be several 1e-4."""


def test_float32_is_float32(gpu: torch.device) -> None:
    random = torch.Generator().manual_seed(0)
    images, kernels = torch.randn(16, 64, 16, 16, generator=random), torch.randn(64, 64, 3, 3, generator=random)
    rows, matrix = torch.randn(256, 512, generator=random), torch.randn(128, 512, generator=random)
    for form in (torch.contiguous_format, torch.channels_last):
        found = F.conv2d(images.to(gpu, memory_format=form), kernels.to(gpu, memory_format=form), padding=1).cpu().double()
        exact = F.conv2d(images.double(), kernels.double(), padding=1)
        assert float((found - exact).norm() / exact.norm()) < EXACT
    found, exact = F.linear(rows.to(gpu), matrix.to(gpu)).cpu().double(), F.linear(rows.double(), matrix.double())
    assert float((found - exact).norm() / exact.norm()) < EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_trains_by_kernels_that_repeat(name: str, gpu: torch.device) -> None:
    """What has none raises an error."""
    kind = ARCHITECTURES[name]
    large = kind.shape[1] > 32
    augment = "flip-crop" if kind.shape[0] == 3 else "none"
    precision = "bfloat16" if kind.shape[0] == 3 else "float32"
    recipe = Recipe(title="two steps", lr=0.001, batch=8 if large else 32, epochs=1, augment=augment, precision=precision)
    classes = list(kind.build().parameters())[-1].numel()
    images = made_up(2 * recipe.batch, kind.shape, classes).to(gpu)
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = kind.build().to(gpu)
        loss = train(model, images, recipe, seed=0, memory_format=torch.channels_last)
        found.append((loss, [tensor.clone() for tensor in model.state_dict().values()]))
    (loss, one), (_, other) = found
    assert loss == loss  # noqa: PLR0124 (no NaN)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_scores_are_those_of_the_cpu(name: str, gpu: torch.device) -> None:
    def scores(device: torch.device) -> list[tuple[int, float]]:
        bench = Bench(Repository(ROOT), GRID, name, device)
        cell = Cell(name, "one-shot", "unstructured", 2.0, 0)
        model = bench.start(cell)
        found = [bench.score(model)]
        recalibrate(model, bench.train, bench.trained_by, bench.protocol, seed=0, memory_format=bench.memory_format)
        found.append(bench.score(model))
        return [(score.correct, score.loss) for score in found]

    here, there = scores(torch.device("cpu")), scores(gpu)
    print(here, there)
    for (correct, loss), (correct_there, loss_there) in zip(here, there, strict=True):
        assert abs(correct - correct_there) <= 1  # of hundreds; a tie may fall otherwise
        assert loss_there == pytest.approx(loss, rel=1e-4)


def test_latency_is_measured_on_gpu_and_cpu(gpu: torch.device) -> None:
    kind = ARCHITECTURES["resnet-20"]
    found = measure_latency(kind.build().to(gpu), kind.shape, gpu, torch.channels_last)
    print([(one.device, one.batch, one.median_ms) for one in found])
    assert [one.batch for one in found] == [1, 128, 1, 128]
    assert found[0].device.startswith("NVIDIA")
    assert found[2].device == "cpu"


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0), reason="needs the sparse cores of an Ampere"
)
def test_layers_run_by_the_kernels_for_2_of_4(gpu: torch.device) -> None:
    """They compute what the masked layers do; the masks are of all that fit, as in a cell."""
    kind = ARCHITECTURES["vit-b-16"]
    model = kind.build().to(gpu)
    layers = fitting_layers(model, kind.classifier)
    with torch.no_grad():
        for name in layers:
            weight = model.get_parameter(f"{name}.weight")
            weight.mul_(keep_n_of_m(weight.abs(), 2, 4))
    sparse, dense = half_copy(model, layers), half_copy(model)
    inputs = torch.randn(3, *kind.shape, device=gpu, dtype=HALF)
    with torch.inference_mode():
        found, expected = sparse(inputs).float(), dense(inputs).float()
    assert float((found - expected).norm() / expected.norm()) < 0.02
    for is_sparse, number in ((True, len(layers)), (False, 0)):
        timed, log = measure_half(model, kind, torch.contiguous_format, sparse=is_sparse)
        print([(one.device, one.batch, one.dtype, one.sparse_layers, one.median_ms) for one in timed], log)
        assert [(one.batch, one.dtype, one.sparse_layers) for one in timed] == [(b, "float16", number) for b in (1, 128)]
        assert log == ""


def test_images_and_their_augmentation_are_those_of_the_cpu(gpu: torch.device) -> None:
    """The draws are the CPU's everywhere; only the arithmetic is the GPU's."""
    from evaluator.training import batches, stream

    recipe = Recipe(title="", lr=1, batch=32, epochs=1, augment="flip-crop")
    images: Images = made_up(100, (3, 32, 32))
    for (here, labels), (there, labels_there) in zip(
        batches(images, recipe, stream("a")), batches(images.to(gpu), recipe, stream("a")), strict=True
    ):
        assert torch.equal(labels, labels_there.cpu())
        assert torch.allclose(here, there.cpu(), atol=1e-6)
