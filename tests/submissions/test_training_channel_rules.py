"""Methods that remove channels and train: their formulas, and what each does between two steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluator.contract import ChannelGroup, Job, Step
from tests.submissions.channel_training import (
    Channels,
    batchnorms,
    every_network,
    makers,
    speedup,
    spied,
    training,
)
from tests.submissions.specimens import EPOCHS, method, module, outcome

RULES = ["network-slimming", "netadapt", "taylor", "tpp"]


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
