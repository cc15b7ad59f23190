"""Methods that keep n of every m neighbours: what can be known of their outcome without training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evaluator.contract import Job, Pruned
from evaluator.grid.cells import pattern
from evaluator.job import Goal
from evaluator.selection import keep_n_of_m
from tests.submissions.specimens import (
    EVERYTHING,
    NETWORKS,
    TYPICAL,
    job,
    layers,
    method,
    module,
    network,
    of_division,
    outcome,
)

every_network = pytest.mark.parametrize("kind", NETWORKS)
every_pattern = pytest.mark.parametrize("target", ["2:4", "1:4", "4:8"])


def patterned(kind: str, target: str) -> Job:
    return job(network(kind), Goal(pattern=pattern(target)))


def assert_highest_of_neighbours_stay(scores: Tensor, mask: Tensor, m: int) -> None:
    """Block by block along the inputs, at each place of a kernel."""
    rows, kept = scores.movedim(1, -1).reshape(-1, scores.shape[1]), mask.movedim(1, -1).reshape(-1, mask.shape[1])
    for score, stays in zip(rows, kept, strict=True):
        for start in range(0, len(score), m):
            block, chosen = score[start : start + m], stays[start : start + m]
            assert float(block[chosen].min()) >= float(block[~chosen].max()) * (1 - 1e-9)


@every_network
@every_pattern
def test_magnitude_keeps_the_largest_of_neighbours(kind: str, target: str) -> None:
    _, m = pattern(target)
    for i, mask in outcome("magnitude-2of4", kind, target).masks.items():
        weight = layers(network(kind))[i].weight.detach()
        if weight.shape[1] % m == 0:
            assert_highest_of_neighbours_stay(weight.abs(), mask, m)


@every_network
@pytest.mark.parametrize("slug", of_division("semi-structured"))
def test_layers_without_the_pattern_stay_as_they_are(slug: str, kind: str) -> None:
    found = outcome(slug, kind)
    for i, layer in enumerate(layers(network(kind))):
        if layer.weight.shape[1] % 4:
            assert found.masks[i].all()
            assert i not in found.weights


@pytest.mark.parametrize("slug", ["activation-2of4", "sparsegpt-2of4"])
def test_labels_are_not_read(slug: str) -> None:
    needs = EVERYTHING.model_copy(update={"labels": False, "gradients": False})
    assert method(slug).prune(job(network("plain"), Goal(pattern=(2, 4)), needs=needs)).masks


def replayed(kind: str, found: Pruned, target: str, number: int) -> dict[int, tuple[Tensor, Tensor]]:
    """(weight before pruning, inputs that the pruned layers before it give) of each layer, on the method's own images."""
    work = patterned(kind, target)
    ((inputs, _),) = work.train_batches(1, number)
    seen = {}

    def visit(layer, inputs: Tensor) -> None:
        seen[layer.position] = (layer.weight.clone(), layer.patches(inputs).double())
        layer.weight.copy_(found.weights.get(layer.position, layer.weight) * found.masks[layer.position])

    work.visit_inputs(inputs, visit)
    return seen


@every_network
@every_pattern
def test_wanda_keeps_the_highest_products_of_neighbours(kind: str, target: str) -> None:
    _, m = pattern(target)
    found = outcome("activation-2of4", kind, target)
    for i, (weight, patches) in replayed(kind, found, target, 256).items():
        if weight.shape[1] % m == 0:
            norms = patches.square().sum(1).sqrt()
            scores = weight.double().abs() * norms.repeat_interleave(len(weight) // len(norms), 0).view(weight.shape)
            assert_highest_of_neighbours_stay(scores, found.masks[i], m)


def by_successive_inverses(matrix: Tensor, curvature: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Optimal Brain Surgeon column by column, with the inverse Hessian of what is left computed afresh each time."""
    weights = matrix.double().clone()
    mask = torch.ones(weights.shape, dtype=torch.bool)
    for j in range(weights.shape[1]):
        if j % m == 0:
            costs = torch.stack([torch.linalg.inv(curvature[k:, k:])[0, 0] for k in range(j, j + m)])
            lowest = (weights[:, j : j + m] ** 2 / costs).sort(dim=1).indices[:, : m - n]
            mask[:, j : j + m] = torch.ones(len(weights), m, dtype=torch.bool).scatter(1, lowest, False)
        inverse = torch.linalg.inv(curvature[j:, j:])
        for row in range(len(weights)):
            if not mask[row, j]:
                weights[row, j:] -= weights[row, j] / inverse[0, 0] * inverse[0]
    return mask, weights * mask


@every_pattern
def test_sparsegpt_equals_brute_force(target: str) -> None:
    n, m = pattern(target)
    random = torch.Generator().manual_seed(3)
    patches = torch.randn(2, 60, 16, generator=random) @ torch.randn(2, 16, 16, generator=random)
    curvature = (2 * patches.mT @ patches).double() + torch.eye(16, dtype=torch.float64)
    matrix = torch.randn(2, 5, 16, generator=random)
    mask, weights = module("sparsegpt-2of4").sparsegpt(matrix, curvature, n, m)
    for g in range(2):
        expected_mask, expected = by_successive_inverses(matrix[g], curvature[g], n, m)
        assert torch.equal(mask[g], expected_mask)
        torch.testing.assert_close(weights[g], expected, rtol=1e-8, atol=1e-10)


@every_network
@every_pattern
def test_sparsegpt_reconstructs_every_layer_better_than_magnitude(kind: str, target: str) -> None:
    """||WX - W'X|| on the calibration images, each layer on the inputs that it was given, in the same pattern."""
    n, m = pattern(target)
    found = outcome("sparsegpt-2of4", kind, target)
    for i, (weight, patches) in replayed(kind, found, target, 256).items():
        assert (i in found.weights) == (weight.shape[1] % m == 0)
        if i in found.weights:
            chosen, largest = found.weights[i], weight * keep_n_of_m(weight.abs(), n, m)
            shape = (len(patches), -1, patches.shape[2])
            ours, magnitude = (
                float(((weight - new).double().reshape(shape) @ patches.mT).square().sum()) for new in (chosen, largest)
            )
            assert ours <= magnitude * (1 + 1e-6)


@every_network
def test_sparsegpt_removes_what_its_masks_say_and_moves_the_rest(kind: str) -> None:
    found = outcome("sparsegpt-2of4", kind, TYPICAL["semi-structured"])
    for i, weight in found.weights.items():
        assert not weight[~found.masks[i]].any()
        assert bool((weight != layers(network(kind))[i].weight)[found.masks[i]].any())
