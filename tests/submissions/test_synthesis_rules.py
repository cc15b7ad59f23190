"""The rule that dreams up the images by which it scores: DeepInversion."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Job
from evaluator.job import Goal
from evaluator.metadata import Needs
from tests.submissions.channel_training import (
    every_network,
)
from tests.submissions.specimens import images as pictures
from tests.submissions.specimens import job, method, module, network


def dreamer(kind: str, **changes: float) -> tuple[object, Job]:
    nothing = Needs(data=False, labels=False, gradients=False)
    return method("deepinversion", **changes), job(network(kind), Goal(speedup=2), needs=nothing)


def test_variation_is_the_distance_to_the_shifted_image_along_four_directions() -> None:
    images = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for image in images:
        for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
            squares = 0.0
            for c, y, x in itertools.product(range(2), range(4 - down), range(5)):
                if 0 <= x + right < 5:
                    squares += float(image[c, y + down, x + right] - image[c, y, x]) ** 2
            total += math.sqrt(squares) / 3
    assert float(module("deepinversion").variation(images)) == pytest.approx(total, rel=1e-5)


def statistics(model: nn.Module, images: Tensor) -> float:
    """Of every BatchNorm the distances of mean and variance to the running ones, one channel at a time."""
    total = 0.0

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal total
        values = inputs[0].detach().double()
        means, variances = 0.0, 0.0
        for c in range(values.shape[1]):
            channel = values[:, c]
            mean = channel.sum() / channel.numel()
            means += float(mean - norm.running_mean[c]) ** 2
            variances += float((channel - mean).square().sum() / channel.numel() - norm.running_var[c]) ** 2
        total += math.sqrt(means) + math.sqrt(variances)

    hooks = [part.register_forward_pre_hook(watch) for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return total


@every_network
def test_the_objective_of_dreams_is_the_sum_of_its_four_parts(kind: str) -> None:
    dream, work = dreamer(kind, smoothness=0.3, size=0.2, statistics=0.7)
    random = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 6, 6, generator=random)
    labels = torch.randint(0, 5, (6,), generator=random)
    logits = work.model(images).detach().double()
    error = -sum(float(logits[n, y] - logits[n].exp().sum().log()) for n, y in enumerate(labels.tolist())) / 6
    size = sum(math.sqrt(float(image.square().sum())) for image in images) / 6
    variation = float(module("deepinversion").variation(images))
    expected = error + 0.3 * variation + 0.2 * size + 0.7 * statistics(work.model, images)
    assert float(dream.objective(work, images, labels).detach()) == pytest.approx(expected, rel=1e-4)
    assert not any(part._forward_pre_hooks for part in work.model.modules())


@every_network
def test_dreams_come_nearer_to_their_labels_and_to_the_statistics(kind: str) -> None:
    """In a network whose running statistics are those of images, which random ones are not."""
    dream, work = dreamer(kind, steps=60)
    work.model.train()
    with torch.no_grad():
        for _ in range(50):
            work.model(pictures(500).take(torch.arange(500))[0])
    work.model.eval()
    noise, labels = method("deepinversion", steps=0).dream(work)
    work.generator.manual_seed(0)
    images, same = dream.dream(work)
    assert images.shape == (48, 3, 6, 6)
    assert torch.equal(labels, same)
    assert set(labels.tolist()) == set(range(5))
    assert float(images.abs().max()) <= 3
    with torch.no_grad():
        assert F.cross_entropy(work.model(images), labels) < F.cross_entropy(work.model(noise), labels)
    if kind != "linear":
        assert statistics(work.model, images) < 0.7 * statistics(work.model, noise)


@every_network
def test_channels_are_scored_by_taylor_on_dreamt_batches(kind: str) -> None:
    dream, work = dreamer(kind, steps=5)
    found = dream.prune(work).channels
    dream, work = dreamer(kind, steps=5)
    images, labels = dream.dream(work)
    reference = job(network(kind), Goal(speedup=2))
    batches = [(images[i : i + 16], labels[i : i + 16]) for i in range(0, 48, 16)]
    scores = [module("taylor-one-shot").contributions(reference, batch) for batch in batches]
    for one, other in zip(scores[0], module("deepinversion").contributions(work, batches[0]), strict=True):
        torch.testing.assert_close(one, other)
    total = {p: torch.stack(part).sum(0) for p, part in enumerate(zip(*scores, strict=True))}
    expected = reference.keep_channels(total).channels
    assert all(torch.equal(found[p], expected[p]) for p in expected)
