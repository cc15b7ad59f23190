"""The rules that train a network sparse."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Job, Step
from evaluator.selection import erk_densities
from evaluator.training import stream
from tests.submissions.specimens import (
    BATCH,
    IMAGES,
    NETWORKS,
    images,
    job,
    layers,
    method,
    module,
    network,
    permission,
    total,
)

every_network = pytest.mark.parametrize("kind", NETWORKS)
two_networks = pytest.mark.parametrize("kind", ["linear", "plain"])


def sparse_training(kind: str, ratio: float, epochs: int, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, round(total(model) / ratio), training=permission(model, epochs, continuous=True, **recipe))


def watch(work: Job, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Step, dict[int, Tensor], dict[int, Tensor]]]:
    """(step, masks, weights) after every step of a training that the method runs."""
    seen: list[tuple[Step, dict[int, Tensor], dict[int, Tensor]]] = []
    train = work.train

    def spy(epochs, **options):
        hook = options.pop("after_step", None)

        def after_step(step: Step) -> None:
            weights = {i: weight.clone() for i, weight in work.weights()}
            if hook:
                hook(step)
            seen.append((step, {i: mask.clone() for i, mask in work.masks.items()}, weights))

        return train(epochs, after_step=after_step, **options)

    monkeypatch.setattr(work, "train", spy)
    return seen


def kept(masks: dict[int, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


# -- GMP ------------------------------------------------------------------------------------------------------------------


def test_gmp_follows_the_cubic_of_equation_1():
    """By hand: from 0 to 90 %, half-way 1 - (0.9 - 0.9 / 8) is left."""
    density = method("gmp", begin=0.2, end=0.6).density
    assert [density(p, 0.1) for p in (0.0, 0.2, 0.6, 0.9)] == pytest.approx([1, 1, 0.1, 0.1])
    assert density(0.4, 0.1) == pytest.approx(1 - 0.9 * (1 - 0.5**3))
    falls = [density(p / 50, 0.1) for p in range(51)]
    assert falls == sorted(falls, reverse=True)


@every_network
def test_gmp_ends_at_the_target_before_the_training_does(kind, monkeypatch):
    work = sparse_training(kind, 8, epochs=6)
    seen = watch(work, monkeypatch)
    outcome = method("gmp", every=2).prune(work)
    counts = [kept(masks) if masks else work.total for _, masks, _ in seen]
    assert counts == sorted(counts, reverse=True)
    at_target = [step.progress for (step, _, _), count in zip(seen, counts, strict=True) if count == work.keep]
    assert 0.65 <= at_target[0] <= 0.8, "a small layer may be there a little before the schedule"
    assert kept(outcome.masks) == work.keep
    assert all(torch.equal(outcome.masks[i], mask) for i, mask in seen[-1][1].items())
    for i, weight in work.weights():
        assert torch.equal(weight != 0, outcome.masks[i]), "the network is trained with what is kept"
        assert abs(int(outcome.masks[i].sum()) - work.density * weight.numel()) < 1, "the same density in every layer"


# -- RigL, SET ------------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize(("slug", "changes"), [("rigl", {"every": 3}), ("set", {})])
def test_the_count_of_every_layer_is_constant_while_connections_move(kind, slug, changes, monkeypatch):
    work = sparse_training(kind, 5, epochs=4)
    seen = watch(work, monkeypatch)
    outcome = method(slug, **changes).prune(work)
    shapes = {i: layer.weight.shape for i, layer in enumerate(layers(network(kind)))}
    counts = work.allocate(erk_densities(shapes, work.keep))
    assert all({i: int(mask.sum()) for i, mask in masks.items()} == counts for _, masks, _ in seen)
    assert {i: int(mask.sum()) for i, mask in outcome.masks.items()} == counts
    first, last = seen[0][1], seen[-1][1]
    assert any(not torch.equal(first[i], last[i]) for i in first)
    assert all(torch.equal(outcome.masks[i], last[i]) for i in last), "nothing moves after the last step"
    for i, weight in work.weights():
        assert not weight[~outcome.masks[i]].any()
        assert int((weight[outcome.masks[i]] == 0).sum()) <= 0.2 * counts[i] + 1, "what has grown has been trained"


def test_erk_is_that_of_the_magnitude_method():
    for kind in NETWORKS:
        shapes = {i: layer.weight.shape for i, layer in enumerate(layers(network(kind)))}
        for ratio in (1, 1.2, 3, 40):
            keep = round(total(network(kind)) / ratio)
            assert erk_densities(shapes, keep) == module("erk-magnitude").erk_densities(shapes, keep)


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest():
    mask = torch.tensor([True, True, True, False, False, False])
    weight = torch.tensor([3.0, -0.1, 2.0, 0.0, 0.0, 0.0])
    gradient = torch.tensor([9.0, 1.0, 9.0, 0.5, -7.0, 2.0])
    rewire = module("rigl").rewire
    assert rewire(mask, weight, gradient, 1).tolist() == [True, False, True, False, True, False]
    assert rewire(mask, weight, gradient, 0).tolist() == mask.tolist()
    gradient[1] = -8.0
    assert rewire(mask, weight, gradient, 1).tolist() == mask.tolist(), "what was dropped may grow again"
    everything = torch.ones(6, dtype=torch.bool)
    assert rewire(everything, weight, gradient, 2).all(), "a dense layer stays dense"


@two_networks
def test_rigl_moves_the_fraction_that_its_schedule_says_and_stops_in_time(kind, monkeypatch):
    work = sparse_training(kind, 4, epochs=5)
    seen = watch(work, monkeypatch)
    grown: list[tuple[float, float]] = []
    method("rigl", every=4).prune(work)
    for (_, before, _), (step, after, weights) in itertools.pairwise(seen):
        new = {i: after[i] & ~before[i] for i in after}
        if kept(new):
            grown.append((step.progress, max(int(new[i].sum()) / int(after[i].sum()) for i in after)))
            assert not any(weights[i][mask].any() for i, mask in new.items()), "they start from zero"
            assert step.number % 4 == 0
    assert [progress for progress, _ in grown] == [0.2, 0.4, 0.6]
    for progress, share in grown:
        assert share <= 0.15 * (1 + math.cos(math.pi * progress / 0.75)) + 1e-9


@two_networks
def test_rigl_drops_by_weight_and_grows_by_the_gradient_of_the_step(kind, monkeypatch):
    work, moved = sparse_training(kind, 4, epochs=5), []
    train = work.train

    def spy(epochs, after_step):
        def look(step: Step) -> None:
            before, weights = dict(work.masks), {i: weight.clone() for i, weight in work.weights()}
            slopes = {layer.position: layer.parameter.grad.clone() for layer in work.layers()}
            after_step(step)
            due = step.number % 4 == 0 and 0 < step.progress < 0.75
            share = 0.15 * (1 + math.cos(math.pi * step.progress / 0.75)) if due else 0
            for i, mask in before.items():
                number, left = int(share * int(mask.sum())), mask.flatten().clone()
                left[weights[i].abs().masked_fill(~mask, torch.inf).flatten().argsort()[:number]] = False
                left[slopes[i].abs().flatten().masked_fill(left, -1).argsort(descending=True)[:number]] = True
                assert torch.equal(work.masks[i].flatten(), left)
                moved.append(int((left & ~mask.flatten()).sum()))

        return train(epochs, after_step=look)

    monkeypatch.setattr(work, "train", spy)
    method("rigl", every=4).prune(work)
    assert sum(moved) > 10


@two_networks
def test_set_replaces_the_weights_nearest_to_zero_after_each_epoch(kind):
    work = sparse_training(kind, 4, epochs=2)
    draw = {i: torch.rand(weight.shape, generator=work.generator) for i, weight in work.weights()}
    work.masks.update(work.keep_highest(draw, "layer").masks)
    before = dict(work.masks)
    for i, weight in work.weights():
        weight.mul_(before[i])
    method("set").evolve(work)
    for i, weight in work.weights():
        gone, stays = before[i] & ~work.masks[i], before[i] & work.masks[i]
        number = int(0.3 * int(before[i].sum()))
        assert int(work.masks[i].sum()) == int(before[i].sum())
        assert int(gone.sum()) <= number
        smallest = weight.abs()[before[i]].sort().values[:number]
        assert set(weight.abs()[gone].tolist()) <= set(smallest.tolist())
        assert int(stays.sum()) >= int(before[i].sum()) - number


# -- STR ------------------------------------------------------------------------------------------------------------------


def test_the_soft_threshold_by_hand():
    weight = torch.tensor([-2.0, -0.5, 0.0, 0.3, 1.0])
    torch.testing.assert_close(
        module("str").soft_threshold(weight, torch.tensor(0.5)), torch.tensor([-1.5, 0.0, 0.0, 0.0, 0.5])
    )


def test_the_order_of_str_is_that_of_magnitudes_beyond_the_highest_threshold_too():
    weight = torch.tensor([0.2, -1.5, -1.0, 3.0, 0.9999, 40.0, 1.25])
    margins = module("str").margins(weight, torch.tensor(0.3))
    assert torch.equal(margins.argsort(), weight.abs().argsort())
    torch.testing.assert_close(torch.sigmoid(margins[0] + 0.3), torch.tensor(0.2))


@every_network
def test_the_sparsity_of_str_is_that_of_its_soft_threshold(kind, monkeypatch):
    """What is kept is what exceeds sigmoid(s_l + c), one c for all layers; the network computes with what is left of it."""
    work = sparse_training(kind, 6, epochs=4)
    learned: list[Tensor] = []
    trained: list[dict[int, Tensor]] = []
    train = work.train

    def spy(epochs, *, learn, **options):
        learned.extend(learn)
        loss = train(epochs, learn=learn, **options)
        trained.append({i: weight.clone() for i, weight in work.weights()})
        return loss

    monkeypatch.setattr(work, "train", spy)
    outcome = method("str").prune(work)
    assert kept(outcome.masks) == work.keep
    threshold = torch.sigmoid(learned[0].detach() + work.memory["shift"])
    for i, weight in trained[0].items():
        exceeds = weight.abs() > threshold[i]
        assert int((exceeds != outcome.masks[i]).sum()) <= 1, "the one at the threshold may round either way"
        expected = weight.sign() * torch.relu(weight.abs() - threshold[i])
        torch.testing.assert_close(work.layers()[i].weight, expected, rtol=1e-4, atol=1e-6)
    assert learned[0].detach().any(), "the thresholds are learned"


@two_networks
def test_a_layers_threshold_gets_the_gradient_of_the_paper(kind):
    """dL/ds = -sigmoid'(s) sum over the kept weights of dL/dw' sign(w)."""
    model = network(kind)
    weight = layers(model)[1].weight.detach()
    raw = torch.tensor(-1.0, requires_grad=True)
    upstream = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    (module("str").soft_threshold(weight, torch.sigmoid(raw)) * upstream).sum().backward()
    threshold = torch.sigmoid(raw.detach())
    active = weight.abs() > threshold
    expected = -threshold * (1 - threshold) * (upstream * weight.sign())[active].sum()
    torch.testing.assert_close(raw.grad, expected)


# -- movement -------------------------------------------------------------------------------------------------------------


@every_network
def test_movement_scores_move_with_minus_weight_times_gradient(kind, monkeypatch):
    """After the first step S = -lr (1 + momentum) w dL/dw' for every weight; what is masked learns its score as well."""
    work = sparse_training(kind, 4, epochs=2, weight_decay=0.0)
    before = {i: weight.clone() for i, weight in work.weights()}
    model = network(kind).train()
    order = torch.randperm(IMAGES, generator=_first_order())[:BATCH]
    inputs, labels = images().take(order)
    F.cross_entropy(model(inputs), labels).backward()
    gradients = {i: layer.weight.grad for i, layer in enumerate(layers(model))}
    found: dict[int, Tensor] = {}
    train = work.train

    def spy(epochs, *, learn, after_step, **options):
        def look(step: Step) -> None:
            if step.number == 0:
                found.update({i: score.detach().clone() for i, score in enumerate(learn)})
            after_step(step)

        return train(epochs, learn=learn, after_step=look, **options)

    monkeypatch.setattr(work, "train", spy)
    method("movement").prune(work)
    for i, weight in before.items():
        torch.testing.assert_close(found[i], -0.05 * 1.9 * weight * gradients[i], rtol=1e-2, atol=1e-5)


def _first_order() -> torch.Generator:
    return stream("order", 3, 0)


def test_movement_teaches_scores_of_masked_weights_and_leaves_those_weights_alone():
    weight = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    score = torch.zeros(3, requires_grad=True)
    used = module("movement").straight_through(weight, torch.tensor([True, False, True]), score)
    assert used.tolist() == [1.0, 0.0, 3.0]
    used.backward(torch.tensor([10.0, 20.0, 30.0]))
    assert weight.grad.tolist() == [10.0, 0.0, 30.0]
    assert score.grad.tolist() == [10.0, -40.0, 90.0]


@two_networks
def test_movement_ends_at_the_target_with_the_mask_that_it_trained_with(kind):
    work = sparse_training(kind, 6, epochs=4)
    outcome = method("movement").prune(work)
    assert all(torch.equal(work.memory[f"mask-{i}"], mask) for i, mask in outcome.masks.items())
    magnitudes = work.keep_highest({i: weight.abs() for i, weight in work.weights()}, "layer").masks
    assert any(not torch.equal(outcome.masks[i], magnitudes[i]) for i in magnitudes)


# -- targeted dropout -----------------------------------------------------------------------------------------------------


@every_network
def test_candidates_are_the_lowest_fraction_of_each_unit_and_only_they_are_dropped(kind, monkeypatch):
    work = sparse_training(kind, 4, epochs=6)
    seen = watch(work, monkeypatch)
    used: list[dict[int, Tensor]] = []
    keep_highest = work.keep_highest
    safe: list[dict[int, Tensor]] = []

    def spy(scores, scope, *, keep):
        assert scope == "row"
        found = keep_highest(scores, scope, keep=keep)
        safe.append(dict(found.masks))
        used.append(scores)
        return found

    monkeypatch.setattr(work, "keep_highest", spy)
    outcome = method("targeted-dropout", alpha=0.66, ramp=0.5, every=1).prune(work)
    assert len(seen) == len(safe) - 2  # before the first step, after each, and at the end
    assert kept(safe[0]) == work.total, "gamma starts at 0"
    for i, weight in work.weights():
        assert torch.equal(outcome.masks[i], safe[-1][i]), "in the end all candidates go"
        rows, mask = weight.abs().flatten(1), outcome.masks[i].flatten(1)
        counts = mask.sum(1)
        assert int(counts.max() - counts.min()) <= 1
        for row, chosen in zip(rows, mask, strict=True):
            if chosen.any() and not chosen.all():
                assert row[chosen].min() >= row[~chosen].max()
    assert kept(outcome.masks) == work.keep
    late = [i for i, (step, _, _) in enumerate(seen) if step.progress >= 0.5]
    assert all(kept(safe[i + 1]) == work.keep for i in late), "gamma is the target's from the end of the ramp on"
    assert not any(work.memory[f"used-{i}"][safe[-2][i]].logical_not().any() for i in safe[-2]), (
        "the largest are never dropped"
    )


def test_candidates_are_dropped_with_chance_alpha_and_get_no_gradient():
    """Over many draws the share of dropped candidates is alpha, to within four standard errors."""
    work = sparse_training("linear", 4, epochs=12)
    dropped: list[float] = []
    train = work.train

    def spy(epochs, *, after_step, **options):
        def look(step: Step) -> None:
            gone = ~work.memory["used-0"]
            assert not work.layers()[0].parameter.grad[gone].any()
            after_step(step)
            if step.progress > 0.5:
                dropped.append(float((~work.memory["used-0"]).sum()) / (0.75 * gone.numel()))

        return train(epochs, after_step=look, **options)

    work.train = spy  # type: ignore[method-assign]
    method("targeted-dropout", alpha=0.66, ramp=0.5, every=1).prune(work)
    error = math.sqrt(0.66 * 0.34 / (len(dropped) * 0.75 * 3240))
    assert sum(dropped) / len(dropped) == pytest.approx(0.66, abs=4 * error)


def test_candidates_come_and_are_dropped_more_and_more_often():
    """By hand, for a share of 0.75 that goes: nothing; half a ramp on, 95 % of the goal and half the chance; all of it."""
    chances = method("targeted-dropout", alpha=0.8, ramp=0.5).chances
    found = [chances(progress, 0.25) for progress in (0.0, 0.125, 0.25, 0.375, 0.5, 1.0)]
    gammas, alphas = zip(*found, strict=True)
    assert gammas == pytest.approx([0, 0.75 * 0.475, 0.75 * 0.95, 0.75 * 0.975, 0.75, 0.75])
    assert alphas == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 0.8])


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_batch_statistics_are_those_of_the_network_without_candidates(kind):
    """Its own batches look to it as they do with the running statistics; nothing is dropped any more."""
    work = sparse_training(kind, 2, epochs=2)
    outcome = method("targeted-dropout", alpha=0.9, ramp=0.1, every=1).prune(work)
    for i, weight in work.weights():
        assert torch.equal(weight != 0, outcome.masks[i])
    seen: list[tuple[Tensor, Tensor]] = []
    norms = [part for part in work.model.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda norm, inputs: seen.append((inputs[0].mean((0, 2, 3)), norm.running_mean)))
    with torch.no_grad():
        work.model(images().take(torch.arange(IMAGES))[0])
    assert len(seen) == len(norms) > 0
    for found, running in seen:
        torch.testing.assert_close(found, running, rtol=0.1, atol=0.1)
