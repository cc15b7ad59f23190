"""The training loop: masks, order, schedule, augmentation."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.grid import Recipe
from evaluator.networks import architecture, prunable_layers
from evaluator.training import Trainee, flip_and_crop, learning_rate, stream, train, train_together
from tests.evaluator.grids import made_up

IMAGES = made_up(300)
RECIPE = Recipe(title="two epochs", lr=0.05, batch=64, epochs=2)


def _masked(name: str) -> tuple[nn.Module, dict[nn.Parameter, Tensor]]:
    kind = architecture(name)
    torch.manual_seed(0)
    model = kind.build()
    masks = {m.weight: torch.rand(m.weight.shape) < 0.3 for _, m in prunable_layers(model, kind.classifier)}
    with torch.no_grad():
        for weight, mask in masks.items():
            weight.mul_(mask)
    return model, masks


class MaskInForward(nn.Module):
    """The other way to keep weights at zero, which ShrinkBench takes: multiply in every forward pass."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def test_masking_after_the_step_equals_masking_in_the_forward_pass() -> None:
    model, masks = _masked("digits-mlp")
    other = copy.deepcopy(model)
    modules = dict(other.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module.weight in masks:
            nn.utils.parametrize.register_parametrization(modules[name], "weight", MaskInForward(masks[module.weight]))
    train(model, IMAGES, RECIPE, seed=0, masks=masks)
    train(other, IMAGES, RECIPE, seed=0)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert torch.equal(module.weight, modules[name].weight)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_masked_weights_stay_zero_under_momentum_and_weight_decay(memory_format: torch.memory_format) -> None:
    model, masks = _masked("digits-cnn")
    train(model, IMAGES, RECIPE, seed=0, masks=masks, memory_format=memory_format)
    for weight, mask in masks.items():
        assert torch.equal(weight != 0, mask)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    def weights(seed: int) -> Tensor:
        model, masks = _masked("digits-cnn")
        train(model, IMAGES, RECIPE, seed=seed, masks=masks)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_what_happens_between_epochs_does_not_change_the_training() -> None:
    """Testing the network after an epoch leaves the last epoch's weights as they would have been."""
    (model, masks), (other, other_masks) = _masked("digits-cnn"), _masked("digits-cnn")
    seen: list[int] = []

    def look(epoch: int) -> None:
        seen.append(epoch)
        model.eval()
        torch.rand(7)
        model(IMAGES.normalise(IMAGES.pixels[:8]))

    train(model, IMAGES, RECIPE, seed=0, masks=masks, after_epoch=look)
    train(other, IMAGES, RECIPE, seed=0, masks=other_masks)
    assert seen == [1, 2]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_matches_a_loop_written_out_by_hand() -> None:
    model, _ = _masked("digits-mlp")
    other = copy.deepcopy(model)
    train(model, IMAGES, RECIPE, seed=5)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    step, steps = 0, 2 * math.ceil(300 / 64)
    for epoch in range(2):
        order = torch.randperm(300, generator=stream("order", 5, epoch))
        for index in order.split(64):
            optimizer.param_groups[0]["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.zero_grad()
            inputs, labels = IMAGES.take(index)
            F.cross_entropy(other(inputs), labels).backward()
            optimizer.step()
            step += 1
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_it_learns() -> None:
    model, _ = _masked("digits-mlp")
    images = made_up(300, classes=2)
    recipe = RECIPE.model_copy(update={"epochs": 40})
    assert train(model, images, recipe, seed=0) < 0.1


def test_the_cosine_starts_at_the_rate_and_ends_near_zero() -> None:
    assert learning_rate(RECIPE, 0, 100) == RECIPE.lr
    assert learning_rate(RECIPE, 50, 100) == pytest.approx(RECIPE.lr / 2)
    assert 0 < learning_rate(RECIPE, 99, 100) < 1e-4
    constant = RECIPE.model_copy(update={"schedule": "constant"})
    assert learning_rate(constant, 99, 100) == RECIPE.lr


def test_augmentation_equals_padding_cropping_and_mirroring_one_by_one() -> None:
    pixels = made_up(40, (3, 8, 6)).pixels
    draws = torch.rand(40, 3, generator=torch.Generator().manual_seed(3))
    augmented = flip_and_crop(pixels, draws, padding=2)
    for image, result, (right, down, mirror) in zip(pixels, augmented, draws, strict=True):
        padded = F.pad(image.flip(2) if mirror < 0.5 else image, (2,) * 4)
        # a window of the padded image, mirrored where the draw says so; mirrored windows shift the other way
        top, left = int(down * 5), int(right * 5)
        if mirror < 0.5:
            left = 4 - left
        window = padded[:, top : top + 8, left : left + 6]
        assert torch.equal(result, window)
    assert augmented.dtype == torch.uint8


def test_streams_are_apart() -> None:
    draws = {float(torch.rand(1, generator=stream(*parts))) for parts in [("a", 1), ("a", 2), ("b", 1), ("a1",)]}
    assert len(draws) == 4


def test_a_network_among_others_is_trained_exactly_as_alone() -> None:
    """Whatever stands beside it, and in whatever place."""
    recipe = RECIPE.model_copy(update={"augment": "flip-crop"})
    names = ("digits-cnn", "digits-mlp", "digits-cnn")
    alone, together = [_masked(name) for name in names], [_masked(name) for name in names]
    alone[2][1].clear()
    together[2][1].clear()  # the third is dense
    losses = [train(model, IMAGES, recipe, seed=3, masks=masks) for model, masks in alone]
    found = train_together([Trainee(model, recipe, masks=masks) for model, masks in together], IMAGES, recipe, seed=3)
    assert found == losses
    for (one, _), (other, _) in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_tail_of_a_schedule_goes_on_where_the_longer_one_would_be() -> None:
    whole = RECIPE.model_copy(update={"epochs": 160})
    tail = RECIPE.model_copy(update={"epochs": 30, "tail_of": 160})
    for step in range(0, 300, 17):
        assert learning_rate(tail, step, 300) == pytest.approx(learning_rate(whole, 1300 + step, 1600))
