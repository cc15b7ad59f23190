"""The rules that prune and train in rounds."""

from __future__ import annotations

import itertools

import pytest
import torch

from evaluator.selection import keep_top_globally
from tests.submissions.specimens import NETWORKS, job, layers, method, network, permission, total

every_network = pytest.mark.parametrize("kind", NETWORKS)


def iterative(kind: str, ratio: float, epochs: int):
    """A job whose base model is another network than the initial one."""
    base = network(kind, seed=1)
    return job(base, round(total(base) / ratio), training=permission(network(kind, seed=2), epochs))


@every_network
def test_the_survivors_of_a_lottery_are_reset_to_step_k_exactly(kind):
    """Step k: as many epochs of the same schedule from the initial weights, whatever the base model."""
    work = iterative(kind, 8, epochs=11)
    lottery = method("lottery-ticket", rewind=1)
    lottery.find(work, rounds=4, length=3)
    reference = iterative(kind, 2, epochs=11)
    reference.initialise()
    reference.train(1, schedule=(0, 3))
    for (name, found), expected in zip(work.snapshot().items(), reference.snapshot().values(), strict=True):
        assert torch.equal(found, expected), name
    assert sum(int(mask.sum()) for mask in work.masks.values()) == work.keep


@every_network
def test_a_lottery_removes_the_smallest_of_the_remaining_weights_in_every_round(kind, monkeypatch):
    work = iterative(kind, 8, epochs=11)
    rounds: list[dict[int, torch.Tensor]] = []
    highest = work.keep_highest

    def spy(scores, scope, *, keep):
        found = highest(scores, scope, keep=keep)
        assert scope == "global"
        trained = {i: weight.abs() for i, weight in work.weights()}
        if rounds:
            assert not any(trained[i][~mask].any() for i, mask in rounds[-1].items()), "what is masked stays at zero"
        expected = keep_top_globally(trained, keep)
        assert all(torch.equal(found.masks[i], expected[i]) for i in expected)
        rounds.append(dict(found.masks))
        return found

    monkeypatch.setattr(work, "keep_highest", spy)
    outcome = method("lottery-ticket", rounds=4, rewind=1).prune(work)
    counts = [sum(int(mask.sum()) for mask in masks.values()) for masks in rounds]
    assert counts == [round(work.total * work.density ** (n / 4)) for n in (1, 2, 3, 4)]
    for earlier, later in itertools.pairwise(rounds):
        assert not any((later[i] & ~earlier[i]).any() for i in later)
    assert all(torch.equal(outcome.masks[i], mask) for i, mask in rounds[-1].items())
    assert work.epochs_left == 0, "the whole budget is used where it can be divided"
    for i, weight in work.weights():
        assert not weight[~outcome.masks[i]].any()


@every_network
def test_lr_rewinding_keeps_the_weights_and_rewinds_the_rate(kind, monkeypatch):
    """Each round begins with the weights of before and with the schedule's first rate."""
    work = iterative(kind, 6, epochs=4)
    ends = [work.snapshot()]
    rates: list[list[float]] = []
    train = work.train

    def spy(epochs):
        before = work.snapshot()
        assert all(torch.equal(before[name], tensor) for name, tensor in ends[-1].items())
        rates.append([])
        loss = train(epochs, after_step=lambda step: rates[-1].append(step.lr))
        ends.append(work.snapshot())
        return loss

    monkeypatch.setattr(work, "train", spy)
    outcome = method("lr-rewinding", rounds=4).prune(work)
    assert len(rates) == 4
    assert all(found == rates[0] for found in rates)
    assert rates[0][0] == 0.05 > rates[0][-1]
    assert sum(int(mask.sum()) for mask in outcome.masks.values()) == work.keep


@pytest.mark.parametrize(
    ("slug", "epochs"), [("lottery-ticket", 3), ("lottery-ticket", 5), ("lr-rewinding", 1), ("lr-rewinding", 3)]
)
def test_of_few_epochs_come_fewer_rounds(slug, epochs):
    """As many as there are whole epochs for; the budget is used to its end."""
    work = iterative("plain", 8, epochs)
    found = method(slug, rounds=4).prune(work).masks
    assert sum(int(mask.sum()) for mask in found.values()) == work.keep
    assert work.epochs_left == 0


def test_lr_rewinding_starts_from_the_base_model():
    """The first round's mask is that of the base model's magnitudes."""
    work = iterative("residual", 4, epochs=1)
    base = {i: layer.weight.detach().abs() for i, layer in enumerate(layers(network("residual", seed=1)))}
    found = method("lr-rewinding", rounds=1).prune(work).masks
    expected = keep_top_globally(base, work.keep)
    assert all(torch.equal(found[i], expected[i]) for i in expected)
