"""Captured steps on a GPU: the same training as step by step, whatever stands beside a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from evaluator.device import set_up
from evaluator.grid import Recipe
from evaluator.networks import architecture, prunable_layers
from evaluator.training import Step, Trainee, batches, in_turn, learning_rate, stepper, stream, train_together
from tests.evaluator.grids import made_up

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

TOLERANCE = 1e-4
"""Of weights after two epochs, relative to the largest; kernels may sum in another order beside others."""
RECIPE = Recipe(title="two epochs", lr=0.05, batch=64, epochs=2, augment="flip-crop")


def pruned(name: str, seed: int) -> Trainee:
    torch.manual_seed(seed)
    kind = architecture(name)
    model = kind.build().cuda()
    layers = prunable_layers(model, kind.classifier)
    masks: dict[nn.Parameter, Tensor] = {m.weight: torch.rand_like(m.weight) < 0.3 for _, m in layers}  # type: ignore[misc]
    return Trainee(model, RECIPE, masks=masks)


def trained(trainees: list[Trainee], *, captured: bool = True) -> list[Tensor]:
    """All weights after two epochs, whose last batch is a short one."""
    device = set_up("cuda")
    images = made_up(300, (1, 8, 8)).to(device)
    if captured:
        train_together(trainees, images, RECIPE, seed=3)
    else:
        advance = in_turn(trainees)
        for epoch in range(2):
            for number, (inputs, labels) in enumerate(batches(images, RECIPE, stream("order", 3, epoch)), epoch * 5):
                step = Step(number, 10, learning_rate(RECIPE, number, 10))
                for trainee in trainees:
                    trainee.model.train()
                    trainee.pace(step.lr)
                advance(inputs, labels, step)
    return [
        torch.cat([p.detach().flatten() for p in t.model.state_dict().values() if p.is_floating_point()]) for t in trainees
    ]


def assert_close(one: Tensor, other: Tensor) -> None:
    assert float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max())


@pytest.mark.parametrize("name", ["digits-cnn", "digits-mlp"])
def test_a_captured_step_is_the_same_step(name: str) -> None:
    (captured,), (plain,) = trained([pruned(name, 0)]), trained([pruned(name, 0)], captured=False)
    assert_close(captured, plain)


def test_a_network_among_others_is_trained_as_alone() -> None:
    together = trained([pruned("digits-cnn", seed) for seed in range(4)])
    for seed in (0, 3):
        (alone,) = trained([pruned("digits-cnn", seed)])
        assert_close(together[seed], alone)


def test_what_is_masked_stays_zero() -> None:
    trainee = pruned("digits-cnn", 1)
    masks = {name: p == 0 for name, p in trainee.model.named_parameters() if p.dim() == 4}
    trained([trainee])
    assert all(bool((p[masks[name]] == 0).all()) for name, p in trainee.model.named_parameters() if name in masks)


def test_on_a_gpu_steps_are_captured() -> None:
    assert stepper([pruned("digits-mlp", 0)]).__qualname__ == "Graphs.step"
