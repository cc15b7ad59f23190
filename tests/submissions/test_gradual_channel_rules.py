"""Methods that remove channels a few at a time, and train in between: Taylor expansion, NetAdapt."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import remove_channels
from evaluator.contract import ChannelGroup, Job
from tests.submissions.channel_training import (
    Channels,
    batchnorms,
    every_network,
    makers,
    numbers,
    speedup,
    spied,
    training,
)
from tests.submissions.specimens import method, module
from tests.submissions.test_structured_rules import on_the_grid

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


# -- NetAdapt -------------------------------------------------------------------------------------------------------------


def norm_of(group: ChannelGroup, channel: int) -> float:
    return float(torch.cat([layer.weight.detach()[channel].flatten() for layer in makers(group)]).double().norm())


@pytest.mark.parametrize(
    ("name", "target", "near"),
    [
        *(("digits-mlp", 1.5, 0.02), ("digits-mlp", 3, 0.02), ("lenet-300-100", 1.5, 0.02), ("lenet-300-100", 3, 0.02)),
        ("lenet-5-caffe", 1.5, 0.031),  # half a channel of its first convolution, of what is left
    ],
)
def test_each_step_of_netadapt_meets_its_budget_at_the_cost_of_one_group(
    name: str, target: float, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MACs fall by the same number in each step, as closely as channels allow; the smallest filters of one group go."""
    work = on_the_grid(name, target, "netadapt")
    rule = method("netadapt")
    adapt, speedups = rule.adapt, []
    dense = work.costs().dense_macs

    def spy(work: Job, wanted: float, validation: list) -> None:
        before = dict(work.channels)
        adapt(work, wanted, validation)
        speedups.append(wanted)
        assert speedup(work, work.channels) == pytest.approx(wanted, rel=near)
        (payer,) = [g for g in work.groups() if not torch.equal(before[g.position], work.channels[g.position])]
        stays, was = work.channels[payer.position], before[payer.position]
        assert not (stays & ~was).any()
        norms = torch.tensor([norm_of(payer, k) for k in range(payer.size)])
        assert float(norms[was & ~stays].max()) <= float(norms[stays].min()) * (1 + 1e-6)
        kept = numbers(work.channels)
        misses = [
            abs(work.costs().speedup({**kept, payer.position: max(kept[payer.position] + more, 1)}) - wanted)
            for more in (-1, 0, 1)
        ]
        assert misses[1] == min(misses), "as closely as whole channels allow"

    monkeypatch.setattr(rule, "adapt", spy)
    calls = spied(work, monkeypatch, lambda _, __: None)
    channels = rule.prune(work).channels
    assert [dense / wanted for wanted in speedups] == pytest.approx(
        [dense - i / 3 * (dense - dense / target) for i in (1, 2, 3)]
    )
    assert calls == [1, 1, 4]
    assert speedup(work, channels) == pytest.approx(target, rel=near)


def test_others_pay_for_a_group_of_netadapt_only_where_it_misses_the_budget_by_far() -> None:
    """More than 2 %, whatever number of its own channels goes."""
    along = 0
    for kind in ("plain", "residual", "depthwise"):
        work = training(kind)
        work.channels = {g.position: torch.ones(g.size, dtype=torch.bool) for g in work.groups()}
        whole = {g.position: g.size for g in work.groups()}
        for payer, wanted in itertools.product(work.groups(), (1.05, 1.1, 1.15, 1.2, 1.3)):
            kept = module("netadapt").proposal(work, payer, wanted)
            if any(not mask.all() for position, mask in kept.items() if position != payer.position):
                alone = (work.costs().speedup(whole | {payer.position: left}) for left in range(1, payer.size + 1))
                assert min(abs(found / wanted - 1) for found in alone) > 0.02
                along += 1
    assert along


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
