"""WoodFisher and SparseGPT against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.submissions.specimens import NETWORKS, job, layers, method, module, network, outcome, total

every_network = pytest.mark.parametrize("kind", NETWORKS)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- WoodFisher -----------------------------------------------------------------------------------------------------------


def by_sherman_morrison(gradients: Tensor, damping: float) -> Tensor:
    """The paper's recursion: one gradient after another, from I / damping."""
    number, size = gradients.shape
    inverse = torch.eye(size, dtype=torch.float64) / damping
    for gradient in gradients.double():
        column = inverse @ gradient
        inverse -= torch.outer(column, column) / (number + gradient @ column)
    return inverse


@pytest.mark.parametrize(("number", "size", "damping"), [(5, 12, 1e-5), (40, 12, 1e-3), (1, 1, 0.1)])
def test_woodfisher_inverse_equals_the_dense_one(number, size, damping):
    gradients = 0.1 * normal(number, size)
    rows = gradients.double()
    dense = torch.linalg.inv(rows.T @ rows / number + damping * torch.eye(size, dtype=torch.float64))
    inverse = module("woodfisher").InverseFisher(gradients, damping)
    vector = normal(size, seed=1).double()
    torch.testing.assert_close(inverse.diagonal(), dense.diagonal(), rtol=1e-6, atol=0)
    torch.testing.assert_close(inverse.times(vector), dense @ vector, rtol=1e-6, atol=1e-6 * float(dense.abs().max()))
    torch.testing.assert_close(
        by_sherman_morrison(gradients, damping), dense, rtol=1e-6, atol=1e-6 * float(dense.abs().max())
    )


@every_network
def test_woodfisher_equals_the_dense_formula_on_a_whole_network(kind):
    """Scores, masks and updates, from dense inverses of each block."""
    settings = {"gradients": 30, "batch_size": 4, "block_size": 50, "damping": 1e-4}
    keep = total(network(kind)) // 3
    found = method("woodfisher", **settings).prune(job(network(kind), keep))
    work = job(network(kind), keep)
    sample = [work.loss_and_gradients(batch)[1] for batch in work.train_batches(30, 4)]
    diagonals, blocks = {}, {}
    for i, weight in work.weights():
        rows = torch.stack([gradients[i].flatten() for gradients in sample]).double()
        parts = [rows[:, start : start + 50] for start in range(0, weight.numel(), 50)]
        blocks[i] = [torch.linalg.inv(p.T @ p / 30 + 1e-4 * torch.eye(p.shape[1], dtype=torch.float64)) for p in parts]
        diagonals[i] = torch.cat([block.diagonal() for block in blocks[i]])
    scores = torch.cat([weight.double().flatten() ** 2 / (2 * diagonals[i]) for i, weight in work.weights()])
    kept = torch.cat([mask.flatten() for mask in found.masks.values()])
    assert float(scores[kept].min()) >= float(scores[~kept].max()) * (1 - 1e-6)
    for i, weight in work.weights():
        flat, mask = weight.double().flatten(), found.masks[i].flatten()
        steps = flat / diagonals[i] * ~mask
        change = torch.cat([block @ part for block, part in zip(blocks[i], steps.split(50), strict=True)])
        torch.testing.assert_close(found.weights[i].flatten().double(), (flat - change) * mask, rtol=1e-4, atol=1e-5)


def test_woodfisher_moves_a_weight_that_can_make_up_for_another():
    """Two weights whose gradients are always equal: when one goes, the other takes over its value."""
    gradients = torch.ones(4, 2)
    inverse = module("woodfisher").InverseFisher(gradients, 1e-6)
    removed = torch.tensor([3.0, 0.0], dtype=torch.float64) / inverse.diagonal()
    change = -inverse.times(removed)
    torch.testing.assert_close(change, torch.tensor([-3.0, 3.0], dtype=torch.float64), rtol=1e-4, atol=0)


# -- SparseGPT ------------------------------------------------------------------------------------------------------------


def by_successive_inverses(matrix: Tensor, curvature: Tensor, keep: int, block: int) -> tuple[Tensor, Tensor]:
    """Optimal Brain Surgeon column by column, with the inverse Hessian of what is left computed afresh each time."""
    weights = matrix.double().clone()
    rows, features = weights.shape
    mask = torch.ones(rows, features, dtype=torch.bool)
    for j in range(features):
        if j % block == 0:
            end = min(j + block, features)
            share = keep * end // features - keep * j // features
            costs = [torch.linalg.inv(curvature[k:, k:])[0, 0] for k in range(j, end)]
            scores = weights[:, j:end] ** 2 / torch.stack(costs)
            order = scores.flatten().sort(descending=True, stable=True).indices
            chosen = torch.zeros(scores.numel(), dtype=torch.bool)
            chosen[order[:share]] = True
            mask[:, j:end] = chosen.view(scores.shape)
        inverse = torch.linalg.inv(curvature[j:, j:])
        for row in range(rows):
            if not mask[row, j]:
                weights[row, j:] -= weights[row, j] / inverse[0, 0] * inverse[0]
    return mask, weights * mask


def correlated(samples: int, features: int, seed: int = 0) -> Tensor:
    return (normal(samples, features, seed=seed) @ normal(features, features, seed=seed + 1)).double()


@pytest.mark.parametrize(("block", "keep"), [(4, 30), (5, 17), (64, 40), (1, 24), (3, 0), (3, 60)])
def test_sparsegpt_equals_brute_force(block, keep):
    patches = correlated(50, 12)
    curvature = 2 * patches.T @ patches
    curvature += 0.01 * curvature.diagonal().mean() * torch.eye(12, dtype=torch.float64)
    matrix = normal(5, 12, seed=7)
    mask, weights = module("sparsegpt").sparsegpt(matrix[None], curvature[None], keep, block)
    expected_mask, expected = by_successive_inverses(matrix, curvature, keep, block)
    assert torch.equal(mask[0], expected_mask)
    torch.testing.assert_close(weights[0], expected, rtol=1e-8, atol=1e-10)
    assert int(mask.sum()) == keep


def test_sparsegpt_treats_groups_apart():
    """Two groups together do what each does alone, given each group's count."""
    patches = [correlated(40, 6, seed=s) for s in (1, 5)]
    curvature = torch.stack([2 * p.T @ p + torch.eye(6, dtype=torch.float64) for p in patches])
    matrix = normal(2, 4, 6, seed=9)
    mask, weights = module("sparsegpt").sparsegpt(matrix, curvature, 20, 6)
    for g in range(2):
        alone_mask, alone = by_successive_inverses(matrix[g], curvature[g], int(mask[g].sum()), 6)
        assert torch.equal(mask[g], alone_mask)
        torch.testing.assert_close(weights[g], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("groups", [1, 3])
def test_sparsegpt_hessian_is_that_of_the_unfolded_patches(groups):
    conv = nn.Conv2d(6, 9, 3, stride=2, padding=1, groups=groups)
    model = nn.Sequential(conv, nn.Flatten(), nn.Linear(81, 2))
    inputs = normal(70, 6, 6, 6)
    layer = job(model, 3).layers()[0]
    patches = layer.patches(inputs).double()
    found = module("sparsegpt").hessian(layer, inputs, 0.01)
    for g in range(groups):
        plain = 2 * patches[g].T @ patches[g]
        expected = plain + 0.01 * plain.diagonal().mean() * torch.eye(len(plain), dtype=torch.float64)
        torch.testing.assert_close(found[g], expected)


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_sparsegpt_gives_what_sees_nothing_the_least(size):
    """Inputs of one group that are zero on all images, however small those of the others are."""
    sparsegpt = module("sparsegpt")
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    layer = job(nn.Sequential(conv, nn.Flatten(), nn.Linear(144, 2)), 3).layers()[0]
    inputs = size * normal(70, 4, 6, 6)
    inputs[:, 1] = 0
    inputs[:, 2] /= 3
    curvature = sparsegpt.hessian(layer, inputs, 0.01)
    ridges = curvature.diagonal(dim1=1, dim2=2).mean(1)[[0, 2, 3]] * 0.01 / 1.01
    torch.testing.assert_close(curvature[1], ridges.min() * torch.eye(9, dtype=torch.float64))
    mask, _ = sparsegpt.sparsegpt(layer.matrix, curvature, 18, 9)
    assert mask.sum() == 18
    assert mask[1].sum() < mask.sum(2).sum(1)[[0, 2, 3]].min()
    curvature = sparsegpt.hessian(layer, 0 * inputs, 0.01)
    assert torch.equal(curvature, torch.eye(9, dtype=torch.float64).expand(4, 9, 9))


@every_network
@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_sparsegpt_reconstructs_every_layer_better_than_magnitude(kind, ratio):
    """||WX - W'X|| on the calibration batch, each layer on the inputs that it was given, with the same count."""
    keep = total(network(kind)) // ratio
    work = job(network(kind), keep)
    found = method("sparsegpt").prune(work)
    replay = job(network(kind), keep)
    originals = [layer.weight.detach().clone() for layer in layers(network(kind))]
    errors: dict[int, tuple[float, float]] = {}

    def compare(layer, inputs):
        i = layer.position
        patches = layer.patches(inputs)
        count = int(found.masks[i].sum())
        order = originals[i].abs().flatten().sort(descending=True).indices[:count]
        largest = torch.zeros(originals[i].numel()).index_fill_(0, order, 1.0).view(originals[i].shape)
        shape = layer.matrix.shape

        def error(weight: Tensor) -> float:
            return float(((originals[i] - weight).reshape(shape) @ patches.mT).square().sum())

        errors[i] = (error(found.weights[i]), error(originals[i] * largest))
        layer.weight.copy_(found.weights[i])

    ((inputs, _),) = replay.train_batches(1, 256)
    replay.visit_inputs(inputs, compare)
    assert len(errors) == len(originals)
    assert all(ours <= magnitude * (1 + 1e-6) for ours, magnitude in errors.values()), errors


@pytest.mark.parametrize("slug", ["woodfisher", "sparsegpt"])
@every_network
def test_removed_weights_are_zero_and_kept_ones_moved(slug, kind):
    found = outcome(slug, kind, 3)
    moved = 0
    for i, layer in enumerate(layers(network(kind))):
        assert not found.weights[i][~found.masks[i]].any()
        moved += int((found.weights[i] != layer.weight)[found.masks[i]].sum())
    assert moved > 0
