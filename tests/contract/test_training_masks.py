"""What a method holds while it trains: masks, silent channels, forward weights and tensors that are learned beside them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evaluator.contract import Step
from evaluator.errors import InvalidOutcome
from evaluator.selection import keep_top
from tests.contract.trainings import STEPS, every_network, magnitude_masks, same, some_channels, trainable
from tests.submissions.specimens import images

# -- masks ----------------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("continuous", [True, False])
def test_masks_keep_weights_at_zero_from_the_first_step_to_the_last(kind, continuous):
    work = trainable(kind, epochs=3, continuous=continuous)
    work.masks = magnitude_masks(work, 0.4)

    def look(step: Step) -> None:
        for i, weight in work.weights():
            assert not weight[~work.masks[i]].any()

    for epochs in (1, 2):
        work.train(epochs, after_step=look)
        for i, weight in work.weights():
            assert torch.equal(weight != 0, work.masks[i])


def test_gradients_of_masked_weights_are_there():
    work = trainable("linear")
    work.masks = magnitude_masks(work, 0.3)
    seen: list[bool] = []
    work.train(1, after_backward=lambda step: seen.append(bool(work.layers()[1].parameter.grad[~work.masks[1]].any())))
    assert all(seen)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("dropped", [True, False])
def test_a_weight_that_comes_back_starts_from_zero_and_without_momentum(in_place, dropped):
    """Its first step is -lr (1 + momentum) gradient (Nesterov), as that of a weight that has just begun to learn."""
    work = trainable("linear", epochs=4, weight_decay=0.0, schedule="constant")
    layer = work.layers()[0]
    work.masks = {0: keep_top(layer.weight.abs(), 1000)}
    away = ~work.masks[0]
    found: list[Tensor] = []
    expected: list[Tensor] = []

    def after_step(step: Step) -> None:
        if step.number == 6:
            if dropped:
                work.masks.clear()
            elif in_place:
                work.masks[0].fill_(True)
            else:
                work.masks[0] = torch.ones_like(away)
        if step.number == 7:
            found.append(layer.weight[away].clone())
            expected.append(-step.lr * 1.9 * layer.parameter.grad[away])

    work.train(2, after_step=after_step)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-8)
    assert found[0].any()


def test_momentum_of_a_weight_from_before_it_was_masked_is_gone_when_it_comes_back():
    work = trainable("linear", epochs=4, weight_decay=0.0, schedule="constant")
    layer = work.layers()[0]
    half = keep_top(layer.weight.abs(), 1000)
    found: list[Tensor] = []

    def after_step(step: Step) -> None:
        if step.number in (3, 4):
            work.masks[0] = half if step.number == 3 else torch.ones_like(half)
        if step.number == 5:
            found.append(layer.weight[~half] + step.lr * 1.9 * layer.parameter.grad[~half])

    work.train(2, after_step=after_step)
    torch.testing.assert_close(found[0], torch.zeros_like(found[0]), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "masks", [{0: torch.ones(3, dtype=torch.bool)}, {0: torch.ones(30, 108)}, {7: torch.ones(1, dtype=torch.bool)}]
)
def test_a_mask_that_fits_no_layer_is_refused(masks):
    work = trainable("linear")
    work.masks = masks
    with pytest.raises(InvalidOutcome, match="is no boolean tensor of the shape of layer"):
        work.train(1)


# -- silent channels ------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("continuous", [True, False])
def test_silent_channels_stay_silent_and_their_removal_changes_nothing(kind, continuous):
    work = trainable(kind, epochs=3, continuous=continuous)
    work.channels = some_channels(work)
    seen: list[float] = []

    def look(step: Step) -> None:
        for group in work.groups():
            gone = ~work.channels[group.position]
            seen.extend(float(filters[gone].abs().sum()) for filters in [*group.filters, *group.scales])

    for epochs in (1, 2):
        work.train(epochs, after_step=look)
    assert not any(seen)
    inputs = images().take(torch.arange(20))[0]
    with torch.no_grad():
        small = work.without_channels(work.channels)(inputs)
        torch.testing.assert_close(small, work.model(inputs), rtol=1e-4, atol=1e-5)


def test_channels_and_masks_hold_together_and_a_channel_that_is_released_may_be_given_weights():
    work = trainable("plain", epochs=2)
    work.masks = magnitude_masks(work, 0.5)
    work.channels = some_channels(work)
    group = work.groups()[0]
    gone = ~work.channels[0]
    layer = work.layers()[0]

    def after_step(step: Step) -> None:
        assert not layer.weight[~work.masks[0]].any()
        if step.number <= STEPS:
            assert not layer.weight[gone].any()
        if step.number == STEPS:
            del work.channels[0]
            layer.weight[gone] = 0.1
            group.scales[0][gone] = 1.0

    work.train(2, after_step=after_step)
    learned = layer.weight[gone]
    assert ((learned != 0) == work.masks[0][gone]).all()
    assert (learned[work.masks[0][gone]] != 0.1).all()


@pytest.mark.parametrize(
    "channels", [{9: torch.ones(8, dtype=torch.bool)}, {0: torch.ones(8)}, {0: torch.zeros(8, dtype=torch.bool)}]
)
def test_channels_that_fit_no_group_are_refused(channels):
    work = trainable("plain")
    work.channels = channels
    with pytest.raises(InvalidOutcome, match="channel group"):
        work.train(1)


# -- forward weights, learned tensors -------------------------------------------------------------------------------------


@every_network
def test_forward_weights_that_change_nothing_change_nothing(kind):
    plain, replaced = trainable(kind), trainable(kind)
    plain.train(2)
    replaced.train(2, weights=lambda layer, weight: weight * 1)
    assert same(plain, replaced)


def test_forward_weights_give_gradients_to_learned_tensors():
    work = trainable("linear", weight_decay=0.1)
    scales = [torch.ones((), requires_grad=True) for _ in work.layers()]
    spare = torch.ones((), requires_grad=True)
    seen: list[Tensor] = []

    def weights(layer, weight):
        return weight * scales[layer.position]

    def after_backward(step: Step) -> None:
        if step.number == 0:
            seen.extend(scale.grad.clone() for scale in scales)
            # dL/dscale = sum of dL/d(scale w) w; at scale 1 dL/d(scale w) is the gradient of w
            expected = [(layer.parameter.grad * layer.weight).sum() for layer in work.layers()]
            torch.testing.assert_close(torch.stack(seen), torch.stack(expected), rtol=1e-3, atol=1e-6)

    work.train(2, weights=weights, after_backward=after_backward, penalty=lambda step: 0 * spare, learn=[*scales, spare])
    assert all(float(scale.detach()) != 1 for scale in scales)
    assert float(spare.detach()) == 1, "no weight decay for what is the method's own"
