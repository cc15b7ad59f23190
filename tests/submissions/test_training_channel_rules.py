"""Methods that remove channels and train: their formulas, and what each does between two steps."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import remove_channels
from evaluator.contract import ChannelGroup, Job, Step
from evaluator.job import Goal
from tests.submissions.specimens import EPOCHS, NETWORKS, job, method, module, network, outcome, permission
from tests.submissions.test_structured_rules import on_the_grid

RULES = ["network-slimming", "netadapt", "taylor", "tpp"]
every_network = pytest.mark.parametrize("kind", NETWORKS)
Channels = Mapping[int, Tensor]


def training(kind: str, speedup: float = 2, epochs: int = EPOCHS, *, continuous: bool = False, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, Goal(speedup=speedup), training=permission(model, epochs, continuous=continuous, **recipe))


def numbers(channels: Channels) -> dict[int, int]:
    return {position: int(mask.sum()) for position, mask in channels.items()}


def speedup(work: Job, channels: Channels) -> float:
    return work.costs().speedup(numbers(channels))


def makers(group: ChannelGroup) -> list[nn.Module]:
    return [piece.module for piece in group.slices if piece.side == "out"]


def batchnorms(group: ChannelGroup) -> list[nn.Module]:
    return [piece.module for piece in group.slices if piece.side == "norm"]


def spied(work: Job, monkeypatch: pytest.MonkeyPatch, look: Callable[[int, dict[str, Any]], None]) -> list[int]:
    """Calls ``look(epochs, options)`` before each ``work.train``; returns the epochs of the calls."""
    train, calls = work.train, []

    def spy(epochs: int, **options: Any) -> float:
        look(epochs, options)
        calls.append(epochs)
        return train(epochs, **options)

    monkeypatch.setattr(work, "train", spy)
    return calls


def penalty_of(slug: str, work: Job, monkeypatch: pytest.MonkeyPatch, **changes: float) -> Callable[[Step], Tensor]:
    """What the method adds to the loss of its first training, which does not take place."""
    found = []

    def look(_: int, options: dict[str, Any]) -> None:
        found.append(options["penalty"])
        raise InterruptedError

    with monkeypatch.context() as patch:
        spied(work, patch, look)
        with pytest.raises(InterruptedError):
            method(slug, **changes).prune(work)
    (penalty,) = found
    return penalty


def gradients(work: Job, value: Tensor) -> dict[str, Tensor]:
    named = dict(work.model.named_parameters())
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), found, strict=True)}


# -- all of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", RULES)
@pytest.mark.parametrize("epochs", [1, 2, 3, 7])
def test_the_target_is_met_within_any_budget_of_epochs(slug: str, epochs: int) -> None:
    for kind in ("linear", "plain"):
        work = training(kind, epochs=epochs, continuous=slug == "network-slimming")
        channels = method(slug).prune(work).channels
        assert speedup(work, channels) == pytest.approx(2, rel=0.1)
        assert work.epochs_left == 0


@every_network
@pytest.mark.parametrize("slug", RULES)
def test_what_goes_is_silent_and_its_removal_changes_nothing(slug: str, kind: str) -> None:
    work = training(kind)
    channels = method(slug).prune(work).channels
    assert not all(bool(mask.all()) for mask in channels.values())
    inputs = next(work.validation_batches(1, 20))[0]
    with torch.no_grad():
        torch.testing.assert_close(work.model(inputs), work.without_channels(channels)(inputs), rtol=1e-4, atol=1e-5)


# -- network slimming -----------------------------------------------------------------------------------------------------


@every_network
def test_the_scale_of_a_channel_is_that_of_its_batchnorms_or_the_norm_of_its_filter(kind: str) -> None:
    for group in training(kind).groups():
        found = module("network-slimming").scales(group)
        rows = [[abs(float(bn.weight.detach()[k])) for k in range(group.size)] for bn in batchnorms(group)]
        if not rows:
            flat = [torch.cat([layer.weight.detach()[k].flatten() for layer in makers(group)]) for k in range(group.size)]
            rows = [[math.sqrt(sum(float(w) ** 2 for w in weights)) for weights in flat]]
        torch.testing.assert_close(found.detach(), torch.tensor(rows))


@every_network
def test_the_penalty_of_slimming_pulls_each_scale_by_its_sign(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """d/dgamma = lambda sign(gamma); a filter without BatchNorm is pulled along itself; nothing else is pulled."""
    work = training(kind)
    for group in work.groups():
        for layer in batchnorms(group):
            layer.weight.data[::2] *= -1
    penalty = penalty_of("network-slimming", work, monkeypatch, strength=0.01)
    found = gradients(work, penalty(Step(0, 1, 0.1)))
    expected = {name: torch.zeros_like(p) for name, p in work.model.named_parameters()}
    names = {id(layer): name for name, layer in work.model.named_modules()}
    for group in work.groups():
        for layer in batchnorms(group):
            expected[names[id(layer)] + ".weight"] = 0.01 * layer.weight.detach().sign()
        if not batchnorms(group):
            for layer in makers(group):
                for k in range(group.size):
                    norm = math.sqrt(sum(float(other.weight.detach()[k].square().sum()) for other in makers(group)))
                    pull = layer.weight.detach()[k] * (0.01 / norm if norm else 0)
                    expected[names[id(layer)] + ".weight"][k] = pull
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-7)


@every_network
def test_slimming_makes_scales_small_and_removes_the_smallest(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the removal, in the middle of one training, the order is that of |gamma|, or of the norm of the filter."""
    sums: dict[float, float] = {}
    for strength in (0.0, 0.05):
        work = training(kind, continuous=True)
        removals: list[tuple[Channels, Channels]] = []

        def look(options: dict[str, Any], strength: float, work: Job, removals: list) -> None:
            if "penalty" not in options:
                scores = {g.position: module("bn-scale").scale(g) for g in work.groups()}
                removals.append((dict(work.channels), work.keep_channels(scores).channels))
                sums[strength] = sum(float(score.sum()) for score in scores.values())

        look_here = functools.partial(look, strength=strength, work=work, removals=removals)
        calls = spied(work, monkeypatch, lambda _, options, look=look_here: look(options))
        method("network-slimming", strength=strength).prune(work)
        assert calls == [EPOCHS // 2, EPOCHS // 2]
        ((found, expected),) = removals
        assert all(torch.equal(found[p], expected[p]) for p in expected)
    assert sums[0.05] < 0.95 * sums[0.0]


# -- Taylor expansion -----------------------------------------------------------------------------------------------------


@every_network
def test_contributions_are_the_squared_gradients_of_gates_in_a_training_step(kind: str) -> None:
    """z = 1 is multiplied with the channels behind each BatchNorm, or behind the layer; the score is (dL/dz)^2."""
    work = training(kind)
    work.model.train()
    images, labels = next(work.train_batches(1, 32))
    gates = [torch.ones(group.size, requires_grad=True) for group in work.groups()]
    hooks = []
    for group, gate in zip(work.groups(), gates, strict=True):

        def multiply(_: nn.Module, __: object, output: Tensor, gate: Tensor = gate) -> Tensor:
            return output * gate.view(-1, *(1,) * (output.dim() - 2))

        hooks += [layer.register_forward_hook(multiply) for layer in batchnorms(group) or makers(group)]
    F.cross_entropy(work.model(images), labels).backward()
    for hook in hooks:
        hook.remove()
    found = module("taylor").contributions(work.groups())
    expected = torch.cat([gate.grad.double().square() for gate in gates])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("kind", ["linear", "residual"])
def test_scores_are_means_between_removals_averaged_with_momentum(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 steps 16 have removals, 4 in all: each after 4 minibatches."""
    taylor = module("taylor")
    work = training(kind)
    batches: list[list[float]] = []
    scores: list[list[float]] = []
    contributions, keep_channels = taylor.contributions, work.keep_channels

    def spy_on_contributions(groups: list[ChannelGroup]) -> Tensor:
        batches.append(contributions(groups).tolist())
        return contributions(groups)

    def spy_on_removals(ranked: Channels, scope: str) -> Any:
        assert scope == "global"
        assert len(batches) == 4 * len(scores) + 4
        scores.append(torch.cat([ranked[g.position] for g in work.groups()]).tolist())
        return keep_channels(ranked, scope)

    monkeypatch.setattr(taylor, "contributions", spy_on_contributions)
    monkeypatch.setattr(work, "keep_channels", spy_on_removals)
    method("taylor", removals=4, until=2 / 3, momentum=0.9).prune(work)
    assert len(batches) == 24
    assert len(scores) == 4
    expected = [0.0] * len(batches[0])
    for number, found in enumerate(scores):
        for channel, old in enumerate(expected):
            mean = sum(batch[channel] for batch in batches[4 * number : 4 * number + 4]) / 4
            expected[channel] = 0.9 * old + 0.1 * mean
        assert all(a == -1 or a == pytest.approx(b, rel=1e-9) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["digits-mlp", "lenet-300-100"])
def test_taylor_removes_about_as_many_channels_each_time_and_the_lowest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone stays gone, and whoever goes scores lower than whoever stays and is not the best of its group."""
    taylor, work = module("taylor"), on_the_grid(name, 2, "taylor", images=300)
    left = [sum(group.size for group in work.groups())]
    fewer = taylor.fewer

    def spy(work: Job, scores: Channels, share: float) -> Channels:
        before = dict(work.channels)
        after = fewer(work, scores, share)
        leaving = torch.cat([scores[p][before[p] & ~after[p]] for p in before])
        staying = torch.cat([scores[p][after[p]] for p in before])
        assert not any(bool((after[p] & ~before[p]).any()) for p in before)
        if len(leaving):
            assert float(leaving.max()) <= float(staying.sort().values[len(before)])
        left.append(sum(numbers(after).values()))
        return after

    monkeypatch.setattr(taylor, "fewer", spy)
    channels = method("taylor", removals=6, until=0.5).prune(work).channels
    removed = [a - b for a, b in itertools.pairwise(left)]
    assert len(removed) == 6
    assert max(removed) <= 2 * sum(removed) / 6 + 1
    assert left[-1] == sum(numbers(channels).values())
    assert speedup(work, channels) == pytest.approx(2, rel=0.05)


def test_all_removals_are_over_by_the_share_of_the_training_that_they_have() -> None:
    taylor = method("taylor", removals=50, until=0.5)
    for steps in (3, 24, 1000):
        counts = [taylor.due(number, steps) for number in range(steps + 1)]
        assert counts == sorted(counts)
        assert counts[0] == 0
        assert all(count == 50 for number, count in enumerate(counts) if number >= steps / 2)
        assert all(count < 50 for number, count in enumerate(counts) if number < steps / 2)


# -- trainability preserving pruning --------------------------------------------------------------------------------------


def matrices(work: Job) -> list[tuple[ChannelGroup, Tensor]]:
    """The filters of each layer that makes a group's channels, as rows."""
    return [(group, layer.weight.detach().flatten(1)) for group in work.groups() for layer in makers(group)]


@every_network
def test_the_penalty_of_tpp_is_that_of_the_formula(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delta (c mean of (F_i F_j)^2 over all pairs, 0 where both stay, + 1/2 sum w^2 of what goes); Delta grows."""
    work = training(kind)
    kept = outcome("l1-filter", kind).channels
    wanted = 0.0
    for group, rows in matrices(work):
        stays = kept[group.position].tolist()
        pairs = [(i, j) for i in range(group.size) for j in range(group.size) if not (stays[i] and stays[j])]
        wanted += 1000 * sum(float(rows[i] @ rows[j]) ** 2 for i, j in pairs) / group.size**2
    for group in work.groups():
        gone = [k for k in range(group.size) if not kept[group.position][k]]
        for layer in [piece.module for piece in group.slices if piece.side != "in"]:
            for p in layer.parameters(recurse=False):
                wanted += sum(float(p.detach()[k].square().sum()) for k in gone) / 2
    penalty = penalty_of("tpp", work, monkeypatch, ceiling=0.5, rise=0.4)
    for number, strength in ((0, 0.0), (10, 0.125), (40, 0.5), (50, 0.5)):
        assert float(penalty(Step(number, 100, 0.1)).detach()) == pytest.approx(strength * wanted, rel=1e-4)


@every_network
def test_the_penalty_of_tpp_pulls_scales_that_go_and_filters_of_both_kinds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """d/dgamma = Delta gamma where the channel goes, 0 where it stays; a filter is pulled away from all that do not stay."""
    work = training(kind)
    kept = outcome("l1-filter", kind).channels
    found = gradients(work, penalty_of("tpp", work, monkeypatch, ceiling=0.5, rise=0.4)(Step(40, 100, 0.1)))
    names = {id(layer): name for name, layer in work.model.named_modules()}
    for group in work.groups():
        stays = kept[group.position]
        for layer in batchnorms(group):
            expected = torch.where(stays, 0.0, 0.5 * layer.weight.detach())
            torch.testing.assert_close(found[names[id(layer)] + ".weight"], expected)
        for layer in makers(group):
            rows = layer.weight.detach().flatten(1)
            for i in range(group.size):
                others = [j for j in range(group.size) if not (stays[i] and stays[j])]
                pull = sum((4 * 1000 / group.size**2 * (rows[i] @ rows[j]) * rows[j] for j in others), 0 * rows[i])
                pull = 0.5 * (pull + (0 if stays[i] else rows[i]))
                gradient = found[names[id(layer)] + ".weight"][i].flatten()
                torch.testing.assert_close(gradient, pull, rtol=1e-3, atol=1e-5)


@every_network
def test_filters_that_go_become_orthogonal_to_those_that_stay(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off-diagonal entries of the Gram matrix between the two kinds fall, against the start and against plain training."""
    kept = outcome("l1-filter", kind).channels

    def crossing(work: Job) -> list[float]:
        both = [(rows[kept[g.position]], rows[~kept[g.position]]) for g, rows in matrices(work)]
        return [float((stays @ goes.T).square().mean()) for stays, goes in both]

    before = crossing(training(kind))
    after: dict[float, list[float]] = {}
    for ceiling in (0.0, 0.02, 0.1):
        work = training(kind, epochs=20)

        def look(_: int, options: dict[str, Any], work: Job = work, ceiling: float = ceiling) -> None:
            if "penalty" not in options:
                after[ceiling] = crossing(work)

        calls = spied(work, monkeypatch, look)
        channels = method("tpp", ceiling=ceiling).prune(work).channels
        assert calls == [10, 10]
        assert all(torch.equal(channels[p], kept[p]) for p in kept), "chosen by the L1 norm before the training"
    assert all(a < b for a, b in zip(after[0.02], after[0.0], strict=True))
    assert all(a < b for a, b in zip(after[0.1], after[0.02], strict=True))
    assert all(a < b / 2 for a, b in zip(after[0.1], before, strict=True))


# -- NetAdapt -------------------------------------------------------------------------------------------------------------


def norm_of(group: ChannelGroup, channel: int) -> float:
    return float(torch.cat([layer.weight.detach()[channel].flatten() for layer in makers(group)]).double().norm())


@pytest.mark.parametrize(
    ("name", "target"),
    [("digits-mlp", 1.5), ("digits-mlp", 3), ("lenet-300-100", 1.5), ("lenet-300-100", 3), ("lenet-5-caffe", 1.5)],
)
def test_each_step_of_netadapt_meets_its_budget_at_the_cost_of_one_group(
    name: str, target: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MACs fall by the same number in each step; the smallest filters of one group go, and no more than it takes."""
    work = on_the_grid(name, target, "netadapt")
    rule = method("netadapt")
    adapt, speedups = rule.adapt, []
    dense = work.costs().dense_macs

    def spy(work: Job, wanted: float, validation: list) -> None:
        before = dict(work.channels)
        adapt(work, wanted, validation)
        speedups.append(wanted)
        assert speedup(work, work.channels) == pytest.approx(wanted, rel=0.02)
        (payer,) = [g for g in work.groups() if not torch.equal(before[g.position], work.channels[g.position])]
        stays, was = work.channels[payer.position], before[payer.position]
        assert not (stays & ~was).any()
        norms = torch.tensor([norm_of(payer, k) for k in range(payer.size)])
        assert float(norms[was & ~stays].max()) <= float(norms[stays].min()) * (1 + 1e-6)

    monkeypatch.setattr(rule, "adapt", spy)
    calls = spied(work, monkeypatch, lambda _, __: None)
    channels = rule.prune(work).channels
    assert [dense / wanted for wanted in speedups] == pytest.approx(
        [dense - i / 3 * (dense - dense / target) for i in (1, 2, 3)]
    )
    assert calls == [1, 1, 4]
    assert speedup(work, channels) == pytest.approx(target, rel=0.02)


@pytest.mark.parametrize("kind", ["linear", "plain", "residual"])
def test_netadapt_takes_the_proposal_that_validates_best(kind: str) -> None:
    """Tried out one by one, on a network whose channels are really removed."""
    work, rule, netadapt = training(kind), method("netadapt"), module("netadapt")
    work.channels = {g.position: torch.ones(g.size, dtype=torch.bool) for g in work.groups()}
    validation = list(work.validation_batches(2, 50))
    results = []
    for payer in work.groups():
        kept = netadapt.proposal(work, payer, 1.2)
        small = remove_channels(work.model, work.groups(), kept)
        with torch.no_grad():
            logits = [small(images) for images, _ in validation]
        right = sum(int((some.argmax(1) == labels).sum()) for some, (_, labels) in zip(logits, validation, strict=True))
        losses = [F.cross_entropy(some, labels) for some, (_, labels) in zip(logits, validation, strict=True)]
        results.append((right, -float(sum(losses)), kept))
        assert netadapt.quality(small, validation)[0] == right / 100
    rule.adapt(work, 1.2, validation)
    best = max(results, key=lambda result: result[:2])[2]
    assert all(torch.equal(work.channels[p], best[p]) for p in best)


def test_a_group_that_cannot_pay_alone_takes_others_along() -> None:
    """To the highest speedup all groups lose all channels but one, whoever pays."""
    work = training("linear")
    work.channels = {g.position: torch.ones(g.size, dtype=torch.bool) for g in work.groups()}
    for payer in work.groups():
        kept = module("netadapt").proposal(work, payer, work.costs().highest_speedup)
        assert set(numbers(kept).values()) == {1}
    other, payer = work.groups()
    kept = module("netadapt").proposal(work, payer, 6)
    assert numbers(kept)[payer.position] == 1
    assert 1 < numbers(kept)[other.position] < other.size
    norms = torch.tensor([norm_of(other, k) for k in range(other.size)])
    assert float(norms[~kept[other.position]].max()) <= float(norms[kept[other.position]].min())
