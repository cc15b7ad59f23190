"""Accuracy and what goes with it: one pass over the whole test set, in float32, counted in whole images."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.canonical import digest_bytes
from evaluator.data.images import Images
from evaluator.grid import Recipe
from evaluator.grid.schema import Protocol
from evaluator.records import Score
from evaluator.training import batches, stream


@dataclass(frozen=True)
class Measured:
    """A score and the predicted class of every test image, as little-endian bytes (one a class up to 256 classes)."""

    score: Score
    predictions: bytes


def measure(
    model: nn.Module,
    images: Images,
    classes: int,
    batch: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Measured:
    """Score ``model`` in eval mode; nothing about the result depends on ``batch`` but the last digits of the loss."""
    model.eval()
    loss = torch.zeros((), dtype=torch.float64, device=images.labels.device)
    predicted, in_top5 = [], torch.zeros((), dtype=torch.int64, device=images.labels.device)
    with torch.inference_mode():
        for inputs, labels in images.in_order(batch, memory_format):
            logits = model(inputs)
            loss += F.cross_entropy(logits, labels, reduction="sum")
            predicted.append(logits.argmax(1))
            if classes > 10:
                in_top5 += (logits.topk(5, dim=1).indices == labels[:, None]).sum()
    return _measured(torch.cat(predicted), images.labels, classes, float(loss), int(in_top5))


def _measured(predicted: Tensor, labels: Tensor, classes: int, loss: float, in_top5: int) -> Measured:
    hits = labels[predicted == labels]
    small = torch.uint8 if classes <= 256 else torch.int16
    predictions = predicted.to("cpu", small).numpy().tobytes()
    score = Score(
        correct=len(hits),
        correct_top5=in_top5 if classes > 10 else None,
        images=len(labels),
        loss=_finite(loss / len(labels)),
        class_correct=torch.bincount(hits, minlength=classes).tolist(),
        class_images=torch.bincount(labels, minlength=classes).tolist(),
        predictions=digest_bytes(predictions),
    )
    return Measured(score, predictions)


def _finite(loss: float) -> float:
    """JSON knows no infinity; a network that overflows has a loss beyond any that matters."""
    return min(loss, 1e30) if math.isfinite(loss) else 1e30


def recalibrate(
    model: nn.Module,
    images: Images,
    recipe: Recipe,
    protocol: Protocol,
    *,
    seed: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> None:
    """Give BatchNorm the statistics of the pruned network: averages over the same training batches for every method.

    Args:
        recipe: by which the network was trained. Its augmentation matters: the black rim of shifted images alone moves the
            variances of edge detectors by half, and three points of accuracy with them.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    model.eval()
    for norm in norms:
        norm.train()
    recipe = recipe.model_copy(update={"batch": protocol.recalibration_batch})
    some = itertools.islice(
        batches(images, recipe, stream("recalibration", seed), memory_format), protocol.recalibration_batches
    )
    with torch.no_grad():
        for inputs, _ in some:
            model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def trainability_epochs(epochs: int) -> int:
    """Length of the first third of retraining, whose mean test accuracy is the trainability (at least one epoch)."""
    return max(1, -(-epochs // 3))


class Course:
    """Scores the network after each epoch of the first stage of the learning rate, and after the last one.

    That stage is the first third of a cosine, and the whole of a constant rate. ``after_epoch`` goes into the loop.
    """

    def __init__(self, epochs: int, score: Callable[[], Score], *, constant: bool = False) -> None:
        self.epochs = epochs
        self.first_stage = epochs if constant else trainability_epochs(epochs)
        self._score = score
        self._scores: list[Score] = []
        self.seconds = 0.0
        """Spent on scoring, not on training."""

    def after_epoch(self, epoch: int) -> None:
        if epoch <= self.first_stage or epoch == self.epochs:
            started = time.perf_counter()
            self._scores.append(self._score())
            self.seconds += time.perf_counter() - started

    @property
    def last(self) -> Score:
        """After the last epoch, never the best one."""
        return self._scores[-1]

    @property
    def trainability(self) -> float:
        """Mean accuracy over the first stage of the rate, percent (Wang et al. 2023, equation 1)."""
        accuracies = [score.accuracy for score in self._scores[: self.first_stage]]
        return sum(accuracies) / len(accuracies)
