"""Gradients, diagonal Fisher and Wanda against straightforward implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.submissions.specimens import EVERYTHING, NETWORKS, images, job, layers, method, module, network, outcome, total

every_network = pytest.mark.parametrize("kind", NETWORKS)


def first_batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch that a job of seed 0 draws first."""
    order = torch.randperm(len(images()), generator=torch.Generator().manual_seed(0))
    return images().take(order[:size])


def plain_gradients(kind: str, inputs: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    model = network(kind)
    F.cross_entropy(model(inputs), labels).backward()
    return [layer.weight.grad for layer in layers(model)]


@every_network
@pytest.mark.parametrize("slug", ["global-gradient", "layer-gradient"])
def test_gradient_methods_keep_the_largest_products(kind, slug):
    inputs, labels = first_batch(64)
    products = [
        (layer.weight.detach() * gradient).abs().flatten()
        for layer, gradient in zip(layers(network(kind)), plain_gradients(kind, inputs, labels), strict=True)
    ]
    masks = [mask.flatten() for mask in outcome(slug, kind, 4).masks.values()]
    if slug == "global-gradient":
        products, masks = [torch.cat(products)], [torch.cat(masks)]
    for product, mask in zip(products, masks, strict=True):
        if mask.any() and not mask.all():
            assert float(product[mask].min()) >= float(product[~mask].max()) * (1 - 1e-5) - 1e-9


@every_network
@pytest.mark.parametrize("slug", ["global-gradient", "layer-gradient", "diagonal-fisher", "woodfisher"])
def test_gradients_are_taken_in_eval_mode(kind, slug):
    """ShrinkBench took them in training mode, which moves BatchNorm statistics."""
    model = network(kind)
    work = job(model, total(model) // 3)
    work.model.train()
    method(slug).prune(work)
    for name, tensor in model.named_buffers():
        assert torch.equal(tensor, dict(work.model.named_buffers())[name])


@every_network
def test_diagonal_fisher_is_the_mean_over_single_images_and_not_negative(kind):
    inputs, labels = first_batch(40)
    sums = [torch.zeros_like(layer.weight, dtype=torch.float64) for layer in layers(network(kind))]
    for n in range(40):
        for squares, gradient in zip(sums, plain_gradients(kind, inputs[n : n + 1], labels[n : n + 1]), strict=True):
            squares.add_(gradient.double() ** 2)
    scores = [
        0.5 * layer.weight.detach().double() ** 2 * s / 40 for layer, s in zip(layers(network(kind)), sums, strict=True)
    ]
    flat = torch.cat([score.flatten() for score in scores])
    assert bool((flat >= 0).all())
    keep = total(network(kind)) // 3
    masks = method("diagonal-fisher", images=40).prune(job(network(kind), keep)).masks
    kept = torch.cat([mask.flatten() for mask in masks.values()])
    assert float(flat[kept].min()) >= float(flat[~kept].max()) * (1 - 1e-4)


def test_fisher_scores_by_hand():
    scores = module("diagonal-fisher").fisher_scores(torch.tensor([2.0, -1.0, 0.0]), torch.tensor([3.0, 0.5, 7.0]))
    assert scores.tolist() == [6.0, 0.25, 0.0]


@every_network
def test_wanda_keeps_the_same_share_of_every_output_row(kind):
    for mask in outcome("magnitude-activation", kind, 3).masks.values():
        rows = mask.flatten(1).sum(1)
        assert int(rows.max() - rows.min()) <= 1


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_feature_norms_by_brute_force(groups):
    """||X_j|| over all samples and output positions, feature = (channel, row, column of the kernel)."""
    conv = nn.Conv2d(6, 12, (3, 2), stride=(2, 1), padding=(1, 2), groups=groups)
    inputs = torch.randn(70, 6, 7, 5, generator=torch.Generator().manual_seed(3))
    model = nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(2))
    model(inputs)
    work = job(model, 5)
    padded = np.pad(inputs.numpy(), ((0, 0), (0, 0), (1, 1), (2, 2))).astype(float)
    expected = np.zeros((6, 3, 2))
    for row in range(0, padded.shape[2] - 2, 2):
        for column in range(padded.shape[3] - 1):
            expected += (padded[:, :, row : row + 3, column : column + 2] ** 2).sum(0)
    found = module("magnitude-activation").feature_norms(work.layers()[0], inputs)
    np.testing.assert_allclose(found.numpy(), np.sqrt(expected).reshape(groups, -1), rtol=1e-6)


def test_wanda_scores_by_hand():
    matrix = torch.tensor([[[1.0, -2.0], [3.0, 0.5]]])
    scores = module("magnitude-activation").wanda_scores(matrix, torch.tensor([[10.0, 1.0]]))
    assert scores.tolist() == [[[10.0, 2.0], [30.0, 0.5]]]


@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_wanda_sees_inputs_that_come_from_pruned_layers(kind):
    """The masks of layer 1 follow from a forward pass through a network whose layer 0 is pruned already."""
    keep = total(network(kind)) // 3
    masks = method("magnitude-activation").prune(job(network(kind), keep)).masks
    model = network(kind)
    layers(model)[0].weight.data.mul_(masks[0])
    work = job(model, keep)
    seen = {}
    work.visit_inputs(first_batch(256)[0], lambda layer, inputs: seen.setdefault(layer.position, inputs.clone()))
    layer = work.layers()[1]
    wanda = module("magnitude-activation")
    scores = wanda.wanda_scores(layer.matrix, wanda.feature_norms(layer, seen[1])).view(layer.weight.shape).flatten(1)
    for row, mask in zip(scores, masks[1].flatten(1), strict=True):
        if mask.any() and not mask.all():
            assert float(row[mask].min()) >= float(row[~mask].max())


def test_wanda_reads_no_labels():
    needs = EVERYTHING.model_copy(update={"labels": False, "gradients": False})
    model = network("plain")
    assert method("magnitude-activation").prune(job(model, total(model) // 2, needs=needs)).masks
