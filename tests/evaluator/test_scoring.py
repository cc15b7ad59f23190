"""Accuracy is correct / N over the whole test set, whatever the batch (ShrinkBench: 98.89 % for a perfect model)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evaluator.networks import architecture
from evaluator.scoring import Course, measure, recalibrate, trainability_epochs
from evaluator.training import batches, stream
from tests.evaluator.grids import GRID, made_up

IMAGES = made_up(1000)


class Oracle(nn.Module):
    """Knows every answer, except that it calls class 3 class 4."""

    def __init__(self, wrong: bool = False) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        pixels = (x + 2) * 64
        labels = pixels.flatten(1).round().long().sum(1) % 10
        if self.wrong:
            labels = torch.where(labels == 3, 4, labels)
        return nn.functional.one_hot(labels, 10).float() * 9


@pytest.mark.parametrize("batch", [1, 64, 128, 250, 999, 1000, 4096])
def test_a_perfect_model_scores_100_percent_at_every_batch_size(batch: int) -> None:
    score = measure(Oracle(), IMAGES, 10, batch).score
    assert (score.correct, score.images, score.accuracy) == (1000, 1000, 100.0)


def test_recall_is_counted_per_class() -> None:
    measured = measure(Oracle(wrong=True), IMAGES, 10, 128)
    score = measured.score
    counts = torch.bincount(IMAGES.labels, minlength=10).tolist()
    assert score.class_images == counts
    assert score.recall == [0.0 if c == 3 else 100.0 for c in range(10)]
    assert score.correct == 1000 - counts[3]
    predictions = np.frombuffer(measured.predictions, dtype=np.uint8)
    assert (predictions == IMAGES.labels.numpy()).sum() == score.correct


def test_top5_is_given_over_ten_classes_only() -> None:
    images = made_up(100, classes=12)
    logits = torch.arange(12.0)

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits.expand(len(x), 12)

    score = measure(Constant(), images, 12, 32).score
    assert score.correct_top5 == int((images.labels >= 7).sum())
    assert measure(Oracle(), IMAGES, 10, 32).score.correct_top5 is None


def test_the_loss_is_the_mean_over_images() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    expected = nn.functional.cross_entropy(model(IMAGES.normalise(IMAGES.pixels)), IMAGES.labels).item()
    assert measure(model, IMAGES, 10, 128).score.loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_overflows_is_still_a_number() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(model[1].weight, float("inf"))
    assert measure(model, IMAGES, 10, 128).score.loss == 1e30


def test_scoring_leaves_the_network_as_it_was() -> None:
    model = architecture("digits-cnn").build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure(model, IMAGES, 10, 128)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_recalibration_depends_on_weights_and_data_alone() -> None:
    one, other = architecture("digits-cnn").build(), architecture("digits-cnn").build()
    other.load_state_dict(one.state_dict())
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean += 3
    for model in (one, other):
        recalibrate(model, IMAGES, GRID.recipes["digits-dense"], GRID.protocol, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert not any(module.training for module in one.modules())


@pytest.mark.parametrize("seed", [0, 1])
def test_recalibration_is_the_plain_average_over_the_batches_of_its_seed(seed: int) -> None:
    """Of each batch alike, the last one no more than the first, and as the momentum of the network was."""
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))
    recipe = GRID.recipes["digits-dense"].model_copy(update={"batch": GRID.protocol.recalibration_batch})
    drawn = list(batches(IMAGES, recipe, stream("recalibration", seed)))[: GRID.protocol.recalibration_batches]
    assert len(drawn) > 2
    recalibrate(model, IMAGES, GRID.recipes["digits-dense"], GRID.protocol, seed=seed)
    for name, of in (("running_mean", torch.mean), ("running_var", torch.var)):
        expected = torch.stack([of(inputs) for inputs, _ in drawn]).mean()
        assert float(model[0].state_dict()[name]) == pytest.approx(float(expected), rel=1e-5)
    assert model[0].momentum == 0.1


@pytest.mark.parametrize(("epochs", "third"), [(1, 1), (2, 1), (3, 1), (4, 2), (30, 10)])
def test_trainability_covers_the_first_third_and_the_last_epoch_counts(epochs: int, third: int) -> None:
    assert trainability_epochs(epochs) == third
    perfect = measure(Oracle(), IMAGES, 10, 1000).score
    scores = iter(perfect.model_copy(update={"correct": 10 * epoch}) for epoch in range(1, 100))
    course = Course(epochs, lambda: next(scores))
    for epoch in range(1, epochs + 1):
        course.after_epoch(epoch)
    assert course.trainability == pytest.approx(sum(range(1, third + 1)) / third)
    assert course.last.correct == 10 * min(epochs, third + 1)


def test_trainability_at_a_constant_rate_covers_the_whole() -> None:
    perfect = measure(Oracle(), IMAGES, 10, 1000).score
    scores = iter(perfect.model_copy(update={"correct": 10 * epoch}) for epoch in range(1, 100))
    course = Course(6, lambda: next(scores), constant=True)
    for epoch in range(1, 7):
        course.after_epoch(epoch)
    assert course.trainability == pytest.approx(3.5)
    assert course.last.correct == 60
