"""One cell, from masks to figures. This is the trusted side: it reads tensors and never a line of contributed code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from evaluator.artifacts import Artifacts
from evaluator.base_files import base_path
from evaluator.bases import load_base
from evaluator.counting import count
from evaluator.data import prepare
from evaluator.data.images import Images
from evaluator.grid import Cell, Grid
from evaluator.messages import Measurement
from evaluator.networks import architecture, prunable_layers
from evaluator.records import Counts, Score
from evaluator.repository import Repository
from evaluator.scoring import Course, measure, recalibrate
from evaluator.training import MEMORY_FORMATS, train

RETRAINED = ("one-shot", "iterative", "at-init")
"""Tracks in which the evaluator trains after the mask is fixed."""


class Bench:
    """What all cells of one benchmark share: data, network and recipe, loaded once."""

    def __init__(self, repository: Repository, grid: Grid, name: str, device: torch.device) -> None:
        entry = grid.benchmark(name)
        self.repository = repository
        self.name = name
        self.protocol = grid.protocol
        self.targets = grid.targets
        self.kind = architecture(entry.architecture)
        self.dataset = grid.datasets[entry.dataset]
        self.recipe = grid.recipes[entry.retraining_recipe]
        self.memory_format = MEMORY_FORMATS[grid.architectures[entry.architecture].memory_format]
        self.device = device
        data = prepare(entry.dataset, self.dataset)
        self.train = Images.load(data.train, self.dataset, device)
        self.test = Images.load(data.test, self.dataset, device)
        self.artifacts = Artifacts(repository.artifacts)

    def base(self, seed: int) -> nn.Module:
        """A fresh copy of the base model."""
        model = self.kind.build()
        load_base(base_path(self.repository, self.name, seed), model)
        return model.to(self.device)

    def weights(self, model: nn.Module) -> dict[int, nn.Parameter]:
        """The prunable weights of ``model`` by position."""
        return {
            i: cast(nn.Parameter, module.weight)
            for i, (_, module) in enumerate(prunable_layers(model, self.kind.classifier))
        }

    def count(self, masks: Mapping[int, Tensor]) -> Counts:
        """What the masks leave of the network."""
        return count(self.kind.build(), self.kind.classifier, self.kind.shape, masks)

    def score(self, model: nn.Module) -> Score:
        """One pass over the test set; the predictions go to the artifacts."""
        measured = measure(model, self.test, self.dataset.classes, self.protocol.evaluation_batch, self.memory_format)
        self.artifacts.add(measured.predictions)
        return measured.score


def evaluate(
    bench: Bench, cell: Cell, counts: Counts, masks: Mapping[int, Tensor], weights: Mapping[int, Tensor]
) -> Measurement:
    """Prune a copy of the base model, score it, retrain it by the benchmark's recipe and score it again.

    Args:
        counts: of these masks; that they meet the cell's target is the caller's to see.
        masks: position -> boolean tensor, True where the weight is kept; a layer without one stays dense.
        weights: position -> new weight of layers that the method updated.
    """
    model = bench.base(cell.seed)
    parameters = bench.weights(model)
    with torch.no_grad():
        for position, weight in weights.items():
            parameters[position].copy_(weight)
        for position, mask in masks.items():
            parameters[position].mul_(mask.to(bench.device))
    model.to(memory_format=bench.memory_format)
    recalibrate(model, bench.train, bench.protocol, seed=cell.seed, memory_format=bench.memory_format)
    before = bench.score(model)
    if cell.track not in RETRAINED:
        return Measurement(counts=counts, before=before)

    course = Course(bench.recipe.epochs, lambda: bench.score(model))
    started = time.perf_counter()
    train(
        model,
        bench.train,
        bench.recipe,
        seed=cell.seed,
        masks={parameters[position]: mask for position, mask in masks.items()},
        memory_format=bench.memory_format,
        after_epoch=course.after_epoch,
    )
    seconds = time.perf_counter() - started - course.seconds
    return Measurement(
        counts=counts,
        before=before,
        after=course.last,
        trainability=course.trainability,
        retraining_seconds=seconds,
        retraining_epochs=bench.recipe.epochs,
    )


def misses_target(cell: Cell, counts: Counts, tolerance: float) -> bool:
    """Whether the realised compression is off the target by more than ``tolerance`` (a fraction)."""
    target = float(cell.target)
    return abs(counts.compression - target) > tolerance * target
