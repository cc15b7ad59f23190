"""Training by a method: its budget, hooks, masks, schedule, and that an interruption changes nothing."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluator import method_training
from evaluator.checkpoint_files import NEW, SUFFIX
from evaluator.checkpoints import Checkpoints
from evaluator.contract import Job, Step
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.metadata import Needs
from evaluator.selection import keep_top
from tests.submissions.specimens import NETWORKS, images, job, network, permission, total

every_network = pytest.mark.parametrize("kind", NETWORKS)
STEPS = 4
"""Steps of an epoch."""


def trainable(kind: str = "plain", epochs: int = 3, *, continuous: bool = False, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, total(model) // 3, training=permission(model, epochs, continuous=continuous, **recipe))


def same(one: Job, other: Job) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def magnitude_masks(work: Job, share: float) -> dict[int, Tensor]:
    return {i: keep_top(w.abs(), int(share * w.numel())) for i, w in work.weights()}


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


def some_channels(work: Job, seed: int = 0) -> dict[int, Tensor]:
    """Of every group a random half that stays, the first channel with it."""
    random = torch.Generator().manual_seed(seed)
    kept = {group.position: torch.rand(group.size, generator=random) < 0.5 for group in work.groups()}
    for mask in kept.values():
        mask[0] = True
    return kept


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


# -- interruptions --------------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for a kill: nothing of the run survives but its checkpoints."""


def run(kind: str, continuous: bool, checkpoints: Checkpoints | None, kill: tuple[int, int] | None = None) -> Job:
    """A method with masks, channels, memory, learned tensors and draws, all that a training holds: 3 calls of 3 epochs.

    Args:
        kill: (call, step of the call) at which it dies.
    """
    model = network(kind)
    work = job(model, total(model) // 3, training=permission(model, 9, continuous=continuous, checkpoints=checkpoints))
    scale = torch.ones(len(work.layers()), requires_grad=True)
    work.memory["mean"] = torch.zeros(())
    masks, channels, memory = work.masks, work.channels, work.memory  # a method may hold them

    for call in range(3):
        taken = [0]  # not part of what goes on: only the kill reads it

        def after_step(step: Step, call: int = call, taken: list[int] = taken) -> None:
            if kill == (call, taken[0]):
                raise Killed
            taken[0] += 1
            memory["mean"] = 0.9 * memory["mean"] + scale.grad.mean()
            if step.number % 2 == 0:
                noise = torch.rand(1, generator=work.generator) + memory["mean"]
                for i, weight in work.weights():
                    masks[i] = keep_top(weight.abs() + noise * weight, weight.numel() // 2)
                if step.number > 4:
                    channels.update(some_channels(work, step.number))

        torch.rand(call + 1)
        work.train(3, weights=lambda layer, w: w * scale[layer.position], after_step=after_step, learn=[scale])
        with torch.no_grad():
            scale.mul_(0.9)
    work.memory["scale"] = scale.detach()
    work.memory["draws"] = torch.cat([torch.rand(2, generator=work.generator), torch.rand(2)])
    return work


@pytest.fixture
def often(monkeypatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(method_training, "CHECKPOINT_SECONDS", -1.0)


def take_out(written: Path, kept: Path) -> list[str]:
    """What the coordinator does with new checkpoints."""
    names = []
    for path in sorted(written.glob(f"{NEW}*{SUFFIX}")):
        names.append(path.name.removeprefix(NEW))
        shutil.move(path, kept / names[-1])
    return names


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", ["plain"])
@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize("kills", [[(0, 9)], [(1, 6)], [(1, 2)], [(2, 11)], [(0, 5), (1, 5), (1, 4), (2, 6)]])
def test_an_interrupted_training_ends_as_it_would_have(tmp_path, kind, continuous, kills):
    """Killed in the middle of calls, one run after another: the weights, masks and draws are the same bit for bit."""
    written, kept = tmp_path / "written", tmp_path / "kept"
    written.mkdir()
    kept.mkdir()
    torch.manual_seed(1)
    whole = run(kind, continuous, None)
    for kill in kills:
        torch.manual_seed(1)
        with pytest.raises(Killed):
            run(kind, continuous, Checkpoints(kept, written), kill)
        assert take_out(written, kept)
    torch.manual_seed(1)
    resumed = run(kind, continuous, Checkpoints(kept, written))
    assert same(whole, resumed)
    assert all(torch.equal(whole.masks[i], resumed.masks[i]) for i in whole.masks)
    assert all(torch.equal(whole.channels[i], resumed.channels[i]) for i in whole.channels)
    assert all(torch.equal(whole.memory[name], resumed.memory[name]) for name in whole.memory)


@pytest.mark.usefixtures("often")
def test_a_resumed_training_does_only_what_is_left(tmp_path):
    """A finished call is not repeated, and returns the loss that it had."""
    model = network("linear")
    steps: list[int] = []

    def once(read: Path | None) -> tuple[Job, float]:
        checkpoints = Checkpoints(read, tmp_path)
        work = job(model, 5, training=permission(model, 5, checkpoints=checkpoints))
        return work, work.train(5, after_step=lambda step: steps.append(step.number))

    first, loss = once(None)
    assert take_out(tmp_path, tmp_path) == [f"call-0{SUFFIX}"]
    again, repeated = once(tmp_path)
    assert len(steps) == 5 * STEPS
    assert (same(first, again), repeated) == (True, loss)
    assert again.epochs_left == 0


def test_a_short_training_is_repeated_rather_than_saved(tmp_path):
    model = network("linear")
    job(model, 5, training=permission(model, 2, checkpoints=Checkpoints(None, tmp_path))).train(2)
    assert list(tmp_path.iterdir()) == []
