"""The forms of training that the benchmarks compare compute the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks import convolutions, forms, gpu, trials

NETWORK = "lenet-300-100"


def test_what_a_gpu_is_measured_by_runs_on_a_processor_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less the graph."""
    monkeypatch.setattr(gpu, "NUMBERS", (1, 20))
    device = torch.device("cpu")
    found = gpu.speed(NETWORK, gpu.side_by_side(NETWORK, 2, device), device, steps=2)
    assert 0 < found.step < 10
    gpu._cells(NETWORK, 1.0, device, steps=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [[f"{NETWORK},", "1", "1"], [f"{NETWORK},", "20", "2"]]


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


def test_the_forms_of_training_are_set_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Less the graph, and with a compiler that takes no minute."""
    forms.trained(NETWORK, 4, torch.device("cpu"), compiler="eager", steps=2)
    name, number, *taken = capsys.readouterr().out.split()
    assert (name, number) == (f"{NETWORK},", "4")
    *positive, fused, compiled = map(float, taken)
    assert len(positive) == 4
    assert min(positive[:3]) > 0
    assert max(fused, compiled) < 1e-6


def test_what_cannot_be_compiled_is_told_and_the_rest_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    def compiler(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler")

    forms.trained(NETWORK, 4, torch.device("cpu"), compiler=compiler, steps=2)  # type: ignore[arg-type]
    forms.scored(NETWORK, torch.device("cpu"), 500, compiler=compiler)  # type: ignore[arg-type]
    training, _, _, *scoring = capsys.readouterr().out.splitlines()
    assert "not compiled" in training
    assert [("C compiler" in line) for line in scoring] == [False, False, False, True]


def test_forms_of_scoring_are_set_beside_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    forms.scored(NETWORK, torch.device("cpu"), 500, compiler="eager")
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["other", "classes"]
    assert [line.split()[-1] for line in lines] == ["0"] * 4


def test_what_the_forms_rest_on_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    trials.gradients(NETWORK, 4, torch.device("cpu"), 0.25)
    trials.replayed(NETWORK, torch.device("cpu"), steps=2)
    apart, training = (line.split() for line in capsys.readouterr().out.splitlines())
    assert apart[:3] == [f"{NETWORK},", "4", "0.25"]
    assert 0 <= float(apart[3]) <= float(apart[4]) < 1e-4
    assert (training[:2], float(training[-1])) == ([NETWORK, "2"], 0.0)
