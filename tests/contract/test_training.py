"""Training by a method: its budget, hooks and schedule, several calls, and the way back."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluator.contract import Job, Step
from evaluator.errors import ContractError
from evaluator.metadata import Needs
from tests.contract.trainings import every_network, magnitude_masks, same, trainable
from tests.submissions.specimens import job, network, permission

# -- budget ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuous", [True, False])
def test_the_budget_is_counted_and_cannot_be_exceeded(continuous):
    work = trainable(epochs=3, continuous=continuous)
    assert (work.epochs, work.epochs_left) == (3, 3)
    work.train(2)
    assert (work.epochs, work.epochs_left) == (3, 1)
    before = work.snapshot()
    with pytest.raises(ContractError, match="2 epochs of training are asked for, 1 of 3 are left") as caught:
        work.train(2)
    assert "job.epochs_left" in str(caught.value.fix)
    assert all(torch.equal(tensor, before[name]) for name, tensor in work.model.state_dict().items())
    assert work.epochs_left == 1, "what was refused is not counted"
    work.train(1)
    assert work.epochs_left == 0


def test_no_attribute_of_a_job_leads_to_the_count():
    work = trainable(epochs=2)
    work.train(2)
    training: Any = work._training
    vars(training).update(epochs=99, left=99, used=-99, _left=99)
    with pytest.raises(ContractError, match="0 of 99 are left"):
        work.train(1)
    assert work.epochs_left == 0


def test_a_copy_of_the_job_trains_on_the_same_budget():
    work = trainable(epochs=2)
    twin = copy.deepcopy(work)
    twin.train(2)
    assert not same(work, twin)
    assert work.epochs_left == 0
    with pytest.raises(ContractError, match="0 of 2 are left"):
        work.train(1)


def test_a_training_that_a_hook_breaks_off_is_counted():
    """Or else all of it could be had but the last step, again and again."""
    work = trainable(epochs=3)

    def give_up(step: Step) -> None:
        if step.number == step.steps - 1:
            raise StopIteration

    with pytest.raises(StopIteration):
        work.train(2, after_step=give_up)
    assert work.epochs_left == 1


class Cheap(int):
    """A number of epochs that costs nothing."""

    def __gt__(self, _: object) -> bool:
        return False

    def __rsub__(self, other: int) -> int:
        return other


@pytest.mark.parametrize("epochs", [0, -1, 1.5, 2.0, float("nan"), float("inf"), Cheap(4), True])
def test_only_whole_epochs_can_be_trained(epochs):
    with pytest.raises(ContractError, match="is no number of epochs to train"):
        trainable().train(epochs)


def test_a_track_without_training_says_so():
    work = job(network("linear"), 5)
    assert (work.epochs, work.epochs_left) == (0, 0)
    for attempt in (lambda: work.train(1), work.initialise):
        with pytest.raises(ContractError, match="training") as caught:
            attempt()
        assert "needs.training_epochs" in str(caught.value.fix)


def test_training_uses_labelled_data_and_the_metadata_must_say_so():
    model = network("linear")
    needs = Needs(data=True, labels=False, gradients=False, training_epochs=3)
    with pytest.raises(ContractError, match="no labelled data"):
        job(model, 5, needs=needs, training=permission(model, 3)).train(1)


@every_network
def test_it_learns_and_leaves_the_model_as_it_is_used(kind):
    work = trainable(kind, epochs=9)
    before = work.snapshot()
    first = work.train(1)
    last = work.train(8)
    assert last < first
    assert not any(module.training for module in work.model.modules())
    assert all(parameter.grad is None for parameter in work.model.parameters())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in work.model.state_dict().items())


# -- hooks ----------------------------------------------------------------------------------------------------------------


def test_hooks_learn_where_the_schedule_stands():
    """On the continuous track over all calls, else in each call; in the order penalty, after_backward, after_step."""
    for continuous, expected in ((True, [*range(8), *range(8, 12)]), (False, [*range(8), *range(4)])):
        work = trainable(epochs=3, continuous=continuous)
        seen: list[tuple[str, Step]] = []

        def penalty(step, seen=seen):
            seen.append(("penalty", step))
            return torch.zeros(())

        for epochs in (2, 1):
            work.train(
                epochs,
                penalty=penalty,
                after_backward=lambda step, seen=seen: seen.append(("after_backward", step)),
                after_step=lambda step, seen=seen: seen.append(("after_step", step)),
            )
        assert [name for name, _ in seen] == ["penalty", "after_backward", "after_step"] * 12
        steps = [step for _, step in seen[::3]]
        assert [step.number for step in steps] == expected
        lengths = [12] * 12 if continuous else [8] * 8 + [4] * 4
        assert [step.progress for step in steps] == [n / of for n, of in zip(expected, lengths, strict=True)]
        for step, of in zip(steps, lengths, strict=True):
            assert step.lr == pytest.approx(0.05 * 0.5 * (1 + math.cos(math.pi * step.number / of)))


def test_a_schedule_can_be_entered_in_the_middle_and_left_before_its_end():
    work = trainable(epochs=6)
    numbers: list[int] = []
    rates: list[float] = []

    def look(step: Step) -> None:
        numbers.append(step.number)
        rates.append(step.lr)

    work.train(1, schedule=(0, 3), after_step=look)
    work.train(2, schedule=(1, 3), after_step=look)
    whole: list[float] = []
    work.train(3, after_step=lambda step: whole.append(step.lr))
    assert numbers == list(range(12))
    assert rates == whole


@pytest.mark.parametrize("schedule", [(-1, 3), (2, 3), (0, 1)])
def test_a_call_must_lie_within_its_schedule(schedule):
    with pytest.raises(ContractError, match="are no part of a schedule"):
        trainable(epochs=6).train(2, schedule=schedule)


def test_the_continuous_track_has_one_schedule():
    with pytest.raises(ContractError, match="one schedule for all calls"):
        trainable(continuous=True).train(1, schedule=(0, 2))


def test_a_penalty_counts_in_the_gradient_and_not_in_the_loss():
    plain, shrunk = trainable("linear", epochs=4), trainable("linear", epochs=4)
    plain.train(4)
    loss = shrunk.train(4, penalty=lambda step: 0.02 * sum(layer.parameter.abs().sum() for layer in shrunk.layers()))
    assert not same(plain, shrunk)
    assert sum(float(w.abs().sum()) for _, w in shrunk.weights()) < 0.8 * sum(
        float(w.abs().sum()) for _, w in plain.weights()
    )
    assert loss < 0.02 * sum(float(w.abs().sum()) for _, w in shrunk.weights()), "cross-entropy alone is returned"


def test_gradients_can_be_changed_before_the_step_and_read_after_it():
    work = trainable("linear", weight_decay=0.0)
    frozen = work.layers()[1]
    before = frozen.weight.clone()
    read: list[float] = []

    def after_backward(step: Step) -> None:
        frozen.parameter.grad.mul_(frozen.parameter * 0)  # no graph may be built on it

    work.train(
        1,
        after_backward=after_backward,
        after_step=lambda step: read.append(float(work.layers()[0].parameter.grad.abs().sum())),
    )
    assert torch.equal(frozen.weight, before)
    assert all(value > 0 for value in read)


# -- several calls --------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("parts", [(1, 3), (2, 1, 1)])
def test_on_the_continuous_track_several_calls_equal_one(kind, parts):
    """Bit for bit, momentum included; also with masks that change on the way, and with learned tensors."""

    def train(parts: tuple[int, ...]) -> tuple[Job, Tensor, float]:
        work = trainable(kind, epochs=4, continuous=True)
        scale = torch.ones((), requires_grad=True)

        def after_step(step: Step) -> None:
            if step.number % 3 == 0:
                work.masks = magnitude_masks(work, 1 - 0.5 * step.progress)

        for epochs in parts:
            loss = work.train(epochs, weights=lambda _, w: w * scale, after_step=after_step, learn=[scale])
        return work, scale.detach(), loss

    (one, one_scale, one_loss), (other, other_scale, other_loss) = train((4,)), train(parts)
    assert same(one, other)
    assert torch.equal(one_scale, other_scale)
    assert one_loss == other_loss


def test_a_tensor_that_is_learned_from_the_second_call_on_starts_without_momentum():
    work = trainable("linear", epochs=2, continuous=True, schedule="constant")
    work.train(1)
    scale = torch.ones((), requires_grad=True)
    steps: list[tuple[float, float]] = []

    def after_step(step: Step) -> None:
        if not steps:
            steps.append((float(scale), float(1 - step.lr * 1.9 * scale.grad)))

    work.train(1, weights=lambda _, w: w * scale, after_step=after_step, learn=[scale])
    assert steps[0][0] == pytest.approx(steps[0][1])


def test_on_the_iterative_track_each_call_starts_without_momentum():
    """Two calls equal one call on each of two jobs, the second of which starts from the first one's weights."""
    both, first, second = (trainable("linear", epochs=2, schedule="constant", weight_decay=0.0) for _ in range(3))
    both.train(1)
    first.train(1)
    assert same(both, first)
    second.train(1)
    second.restore(first.snapshot())
    both.train(1)
    second.train(1)
    assert same(both, second)


def test_no_two_epochs_go_through_the_images_alike():
    for continuous in (True, False):
        work = trainable("linear", epochs=4, continuous=continuous, lr=1e-12, weight_decay=0.0)
        gradients: list[float] = []
        look = lambda step, seen=gradients: seen.append(float(work.layers()[0].parameter.grad.sum()))  # noqa: E731, B023
        for _ in range(4):
            work.train(1, after_step=look)
        assert len({round(value, 5) for value in gradients}) == len(gradients)


# -- snapshot, restore, initialise ----------------------------------------------------------------------------------------


@every_network
def test_a_snapshot_is_a_copy_and_restore_goes_back_to_it(kind):
    work = trainable(kind, epochs=4)
    work.train(1)
    snapshot = work.snapshot()
    kept = {name: tensor.clone() for name, tensor in snapshot.items()}
    parameters = [layer.parameter for layer in work.layers()]
    work.train(1)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in snapshot.items())
    work.restore(snapshot)
    work.train(1)
    work.restore(snapshot)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in work.model.state_dict().items())
    assert all(layer.parameter is parameter for layer, parameter in zip(work.layers(), parameters, strict=True))


@every_network
def test_initialise_goes_back_to_where_training_began(kind):
    fresh, base = network(kind, seed=1), network(kind, seed=2)
    work = job(base, 5, training=permission(fresh, 2))
    assert not torch.equal(work.layers()[0].weight, next(fresh.parameters()))
    for _ in range(2):
        work.initialise()
        for name, tensor in work.model.state_dict().items():
            assert torch.equal(tensor, fresh.state_dict()[name])
        work.train(1)


def test_what_is_trained_from_restored_weights_starts_without_momentum():
    rewound, fresh = (trainable("linear", epochs=2, continuous=True, weight_decay=0.0) for _ in range(2))
    rewound.train(1)
    rewound.initialise()
    step: list[tuple[Tensor, Tensor]] = []

    def after_step(at: Step) -> None:
        if not step:
            start = fresh.layers()[0].weight
            step.append((rewound.layers()[0].weight - start, -at.lr * 1.9 * rewound.layers()[0].parameter.grad))

    rewound.train(1, after_step=after_step)
    torch.testing.assert_close(*step[0], rtol=1e-3, atol=1e-7)
