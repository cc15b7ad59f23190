"""The forms of training that the benchmarks compare compute the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchmarks import convolutions, forms, gpu
from benchmarks.loops import made_up, masks_of, recipe_of
from benchmarks.stacked import StackedTrainee
from evaluator.networks import architecture
from evaluator.training import Trainee, train_together

NETWORK = "lenet-300-100"


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stacked_networks_are_trained_as_each_would_be(precision: str) -> None:
    torch.manual_seed(0)
    kind, recipe = architecture(NETWORK), recipe_of(NETWORK, precision)
    models = [kind.build() for _ in range(3)]
    before = copy.deepcopy(models)
    images = made_up(300, kind.shape)
    stack = StackedTrainee(models, kind, recipe)
    (loss,) = train_together([stack], images, recipe, seed=0)
    losses = train_together([Trainee(m, recipe, masks=masks_of(m, kind)) for m in models], images, recipe, seed=0)
    assert loss == pytest.approx(sum(losses), rel=1e-5)
    for number, (model, old) in enumerate(zip(models, before, strict=True)):
        for of_all, alone, start in zip(stack.model.weights, weights(model), weights(old), strict=True):
            assert not torch.equal(alone, start)
            assert torch.allclose(of_all[number], alone, atol=1e-6, rtol=0)
            assert torch.equal(of_all[number] == 0, alone == 0)


def test_what_a_gpu_is_measured_by_runs_on_a_processor_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less the graph."""
    monkeypatch.setattr(gpu, "NUMBERS", (1, 15))
    device = torch.device("cpu")
    found = gpu.speed(NETWORK, gpu.side_by_side(NETWORK, 2, device), device, steps=2)
    assert 0 < found.step < 10
    gpu._stacked("bfloat16", device, steps=2)
    gpu._cells(NETWORK, 1.0, device, steps=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[f"{NETWORK},", "1"], [f"{NETWORK},", "15"]]
    assert [line.split()[2] for line in lines[1:]] == ["1", "2"]


def test_the_forms_of_a_convolution_compute_the_same() -> None:
    found = {}
    for name, form in convolutions.FORMS.items():
        inputs, weights = convolutions.made_up(form, 3, 4, 5, torch.device("cpu"), 2)
        output = torch.cat(form(inputs, weights), dim=1)
        ahead = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
        gradients = torch.autograd.grad(output, [*inputs, *weights], ahead)
        found[name] = [output, torch.cat(gradients[: len(inputs)], dim=1), *gradients[len(inputs) :]]
    first, *others = found.values()
    assert len(others) == 2
    for other in others:
        for one, same in zip(first, other, strict=True):
            assert one.abs().sum() > 0
            assert torch.allclose(one, same, rtol=1e-2, atol=1e-2)


def test_the_forms_of_a_convolution_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    convolutions.bench((2,), torch.device("cpu"), 2)
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(convolutions.STAGES)
    for line in lines:
        assert all(float(each) > 0 for each in line.split()[-len(convolutions.FORMS) :])
    assert all(name in head for name in convolutions.FORMS)


def test_a_compiled_step_is_set_beside_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Less the graph, and with a compiler that takes no minute."""
    forms.compiled(NETWORK, (1, 2), torch.device("cpu"), compiler="eager", steps=2)
    _, _, *lines = capsys.readouterr().out.splitlines()
    for number, line in zip((1, 2), lines, strict=True):
        name, together, *numbers, _, alone = line.split()
        assert (name, together, float(alone)) == (f"{NETWORK},", f"{number}", 0)
        assert all(float(each.rstrip("x")) > 0 for each in numbers)


def test_forms_of_scoring_are_set_beside_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    forms.scored(NETWORK, torch.device("cpu"), 500, compiler="eager")
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["other", "classes"]
    assert [line.split()[-1] for line in lines] == ["0"] * 4
