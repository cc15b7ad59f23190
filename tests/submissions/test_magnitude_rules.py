"""Random, global, uniform, ERK and LAMP: what can be known of their outcome without training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.submissions.specimens import NETWORKS, job, layers, method, module, network, outcome, total

every_network = pytest.mark.parametrize("kind", NETWORKS)


def magnitudes(kind: str) -> list[np.ndarray]:
    return [layer.weight.detach().abs().flatten().numpy() for layer in layers(network(kind))]


@every_network
@pytest.mark.parametrize("ratio", [2, 8, 33])
def test_global_magnitude_equals_a_sort_of_all_weights(kind, ratio):
    flat = np.concatenate(magnitudes(kind))
    keep = round(len(flat) / ratio)
    expected = np.zeros(len(flat), dtype=bool)
    expected[np.argsort(-flat, kind="stable")[:keep]] = True
    found = np.concatenate([mask.flatten().numpy() for mask in outcome("global-magnitude", kind, ratio).masks.values()])
    assert (found == expected).all()


@every_network
@pytest.mark.parametrize("slug", ["uniform-magnitude", "layer-gradient", "sparsegpt", "magnitude-activation"])
def test_uniform_methods_give_every_layer_its_share_to_within_one_weight(kind, slug):
    masks = outcome(slug, kind, 3).masks
    density = round(total(network(kind)) / 3) / total(network(kind))
    for mask in masks.values():
        assert abs(int(mask.sum()) - density * mask.numel()) < 1


@every_network
def test_uniform_magnitude_keeps_the_largest_of_each_layer(kind):
    for i, mask in outcome("uniform-magnitude", kind, 3).masks.items():
        weight = layers(network(kind))[i].weight.detach().abs()
        if mask.any() and not mask.all():
            assert weight[mask].min() >= weight[~mask].max()


@every_network
@pytest.mark.parametrize("ratio", [1, 1.2, 2, 8, 40])
def test_erk_meets_the_budget_with_no_density_over_one(kind, ratio):
    shapes = {i: layer.weight.shape for i, layer in enumerate(layers(network(kind)))}
    keep = round(total(network(kind)) / ratio)
    densities = module("erk-magnitude").erk_densities(shapes, keep)
    assert all(0 <= density <= 1 for density in densities.values())
    assert sum(densities[i] * shapes[i].numel() for i in shapes) == pytest.approx(keep, abs=1e-6)
    raw = {i: sum(shapes[i]) / math.prod(shapes[i]) for i in shapes}
    scales = {densities[i] / raw[i] for i in shapes if densities[i] < 1}
    assert max(scales, default=0) == pytest.approx(min(scales, default=0)), "one factor for all layers that are not dense"
    assert all(raw[i] * max(scales) >= 1 - 1e-9 for i in shapes if densities[i] == 1 and scales)


def test_erk_densities_of_lenet_300_100_by_hand():
    """784x300 and 300x100 at half of the weights: (784+300) e + (300+100) e = 132,600."""
    shapes = {0: torch.Size([300, 784]), 1: torch.Size([100, 300])}
    densities = module("erk-magnitude").erk_densities(shapes, 132_600)
    assert densities[1] == 1.0  # 400 e = 35,741 would exceed its 30,000
    assert densities[0] == pytest.approx((132_600 - 30_000) / 235_200)


@every_network
def test_lamp_by_its_definition(kind):
    """s_u = w_u^2 / sum of w_v^2 over v >= u, in ascending order; the last one, the largest, scores 1."""
    for layer in layers(network(kind)):
        weight = layer.weight.detach()
        scores = module("lamp").lamp_scores(weight)
        squares = weight.flatten().double().numpy() ** 2
        order = np.argsort(squares, kind="stable")
        expected = np.empty(len(squares))
        for rank, u in enumerate(order):
            expected[u] = squares[u] / squares[order[rank:]].sum()
        np.testing.assert_allclose(scores.flatten().numpy(), expected, rtol=1e-12)
        assert float(scores.max()) == 1.0
        assert float(scores.min()) > 0


@every_network
def test_lamp_empties_no_layer(kind):
    keep = len(layers(network(kind)))
    masks = method("lamp").prune(job(network(kind), keep)).masks
    assert [int(mask.sum()) for mask in masks.values()] == [1] * keep


def test_lamp_of_zeros_is_zero_and_ties_keep_their_order():
    lamp_scores = module("lamp").lamp_scores
    assert lamp_scores(torch.zeros(3)).tolist() == [0, 0, 0]
    assert lamp_scores(torch.tensor([1.0, -2.0, 0.0, 2.0])).tolist() == [1 / 9, 0.5, 0.0, 1.0]


@every_network
def test_random_depends_on_the_seed_alone(kind):
    keep = total(network(kind)) // 3
    draws = [
        method("random").prune(job(network(kind, weights), keep, seed=seed)).masks
        for weights, seed in [(0, 5), (1, 5), (0, 6)]
    ]
    assert all(torch.equal(draws[0][i], draws[1][i]) for i in draws[0])
    assert not all(torch.equal(draws[0][i], draws[2][i]) for i in draws[0])


def test_random_is_uniform_over_the_network():
    """Over 400 seeds each weight is kept about as often as any other."""
    model = network("depthwise")
    counts = sum(
        torch.cat(
            [mask.flatten() for mask in method("random").prune(job(model, total(model) // 4, seed=seed)).masks.values()]
        ).int()
        for seed in range(400)
    )
    deviation = (counts.double() - 100) / math.sqrt(400 * 0.25 * 0.75)
    assert abs(float(deviation.mean())) < 1e-9
    assert float(deviation.square().mean()) == pytest.approx(1, abs=0.2)
    assert float(deviation.abs().max()) < 5
