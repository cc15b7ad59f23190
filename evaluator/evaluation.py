"""Cells, from what is kept to figures. This is the trusted side: it reads tensors and never a line of contributed code."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor, nn

from evaluator.admission import Artifact, Form
from evaluator.artifacts import Artifacts
from evaluator.base_files import base_path, initial_seed
from evaluator.bases import initial_model, load_base
from evaluator.channels import ChannelGroup, channel_groups, remove_channels, silence
from evaluator.counting import count
from evaluator.data import prepare
from evaluator.data.images import Images
from evaluator.device import cohort_size, finish
from evaluator.errors import EspalierError
from evaluator.fused import in_form
from evaluator.grid import Cell, Grid, Recipe
from evaluator.grid.cells import FROM_FRESH, TRAINING, UPDATING, pattern
from evaluator.latency import measure_latency
from evaluator.messages import Measurement
from evaluator.networks import architecture, floating_state, prunable_layers
from evaluator.records import Counts, Latency, LayerCount, Score, Variant
from evaluator.records.record import SCRATCH
from evaluator.repository import Repository
from evaluator.scoring import Course, measure, recalibrate
from evaluator.selection import has_pattern
from evaluator.sparse_kernels import PATTERN, measure_half
from evaluator.training import MEMORY_FORMATS, Trainee, batches, stream, train_together

AGREEMENT = 1e-5
"""How far the outputs of a network with channels removed may be from those of the one in which they are silenced."""


class Bench:
    """What all cells of one benchmark share: data, network and recipes, loaded once."""

    def __init__(
        self, repository: Repository, grid: Grid, name: str, device: torch.device, *, recipe: str | None = None
    ) -> None:
        entry = grid.benchmark(name)
        self.repository = repository
        self.grid = grid
        self.name = name
        self.alternative = recipe
        instead = {name: getattr(entry, name) for name in ("recalibration_batches", "evaluation_batch")}
        self.protocol = grid.protocol.model_copy(update={name: value for name, value in instead.items() if value})
        self.kind = architecture(entry.architecture)
        self.architecture = entry.architecture
        self.dataset = grid.datasets[entry.dataset]
        self.trained_by = grid.recipes[entry.dense_recipe or entry.retraining_recipe]
        self.fresh_recipe = grid.recipes.get(grid.recipe_name(name, "at-init"))
        self.memory_format = MEMORY_FORMATS[grid.architectures[entry.architecture].memory_format]
        self.scoring_format = torch.contiguous_format if device.type == "cuda" else self.memory_format
        self.device = device
        self.cohort_size = cohort_size(device, grid.architectures[entry.architecture].together)
        self.training_form = grid.architectures[entry.architecture].gpu_form if device.type == "cuda" else "streams"
        self.timed = "structured" in entry.divisions
        patterns = grid.targets_of(name, "semi-structured") if "semi-structured" in entry.divisions else []
        self.timed_in_half = PATTERN in patterns
        data = prepare(entry.dataset, self.dataset)
        self.train = Images.load(data.train, self.dataset, device)
        self.test = Images.load(data.test, self.dataset, device)
        self.artifacts = Artifacts(repository.artifacts)

    def recipe(self, cell: Cell, variant: Variant) -> Recipe | None:
        """By what the evaluator trains; None where it does not, as where the method has trained for the whole track."""
        if variant in SCRATCH:
            return self.fresh_recipe
        if cell.track == "sparse-training" and variant == "method":
            return None
        return self.grid.recipes.get(self.grid.recipe_name(self.name, cell.track, self.alternative))

    def start(self, cell: Cell) -> nn.Module:
        """A fresh copy of the network from which a cell starts: the base model, or initial weights."""
        model = self.initial(cell.seed)
        if cell.track not in FROM_FRESH:
            load_base(base_path(self.repository, self.name, cell.seed), model)
        return model.to(self.device)

    def initial(self, seed: int) -> nn.Module:
        return initial_model(self.architecture, initial_seed(self.name, seed))

    def weights(self, model: nn.Module) -> dict[int, nn.Parameter]:
        """The prunable weights of ``model`` by position."""
        return {
            i: cast(nn.Parameter, module.weight)
            for i, (_, module) in enumerate(prunable_layers(model, self.kind.classifier))
        }

    @cached_property
    def groups(self) -> list[ChannelGroup]:
        """The channel groups of the architecture, over the modules of a copy of its own."""
        return channel_groups(self.kind.build(), self.kind.classifier, self.kind.shape)

    def form(self, cell: Cell) -> Form:
        """What an outcome for a cell consists of."""
        model = self.kind.build()
        layers = [(position, tuple(weight.shape)) for position, weight in self.weights(model).items()]
        channels = [group.size for group in self.groups] if cell.division == "structured" else []
        trained = floating_state(model) if cell.track in TRAINING else []
        shapes = [tuple(tensor.shape) for _, tensor in trained]
        return Form(layers, channels, shapes, new_weights=cell.track in UPDATING)

    @cached_property
    def dense(self) -> Counts:
        """Counts of the whole network."""
        return count(self.kind.build(), self.kind.classifier, self.kind.shape, {})

    def count(self, artifact: Artifact) -> Counts:
        """What an artifact leaves of the network: by its masks, or of the network without the channels."""
        model = self.kind.build()
        if not artifact.channels:
            return count(model, self.kind.classifier, self.kind.shape, artifact.masks)
        small = remove_channels(model, self.groups, artifact.channels)
        found = count(small, self.kind.classifier, self.kind.shape, {})
        layers = [
            LayerCount(position=whole.position, shape=whole.shape, kept=left.total)
            for whole, left in zip(self.dense.layers, found.layers, strict=True)
        ]
        return found.model_copy(
            update={
                "parameters": self.dense.parameters,
                "macs": self.dense.macs,
                "speedup_kind": "materialised",
                "layers": layers,
                "channels": [int(kept.sum()) for _, kept in sorted(artifact.channels.items())],
            }
        )

    def score(self, model: nn.Module) -> Score:
        """One pass over the test set; the predictions go to the artifacts."""
        if self.scoring_format is not self.memory_format:
            model = copy.deepcopy(model).to(memory_format=self.scoring_format)
        measured = measure(model, self.test, self.dataset.classes, self.protocol.evaluation_batch, self.scoring_format)
        self.artifacts.add(measured.predictions)
        return measured.score


@dataclass
class Candidate:
    """A network on its way through the scorer.

    Args:
        key: the score key.
        counts: of the artifact; that they meet the cell's target is the caller's to see.
        artifact: what is kept; None for the dense control.
    """

    key: str
    cell: Cell
    variant: Variant
    counts: Counts
    artifact: Artifact | None = None

    model: nn.Module = field(init=False)
    masks: dict[nn.Parameter, Tensor] = field(init=False, default_factory=dict)
    recipe: Recipe | None = field(init=False, default=None)

    def choose_recipe(self, bench: Bench) -> None:
        """By what the network will be trained, if at all."""
        self.recipe = bench.recipe(self.cell, self.variant)
        if self.variant == "scratch-b":
            assert self.recipe is not None
            epochs = max(1, int(self.recipe.epochs * (self.counts.speedup or 1)))
            self.recipe = self.recipe.model_copy(update={"epochs": epochs})

    def build(self, bench: Bench) -> None:
        """Make the pruned network, in the state from which it is scored or trained."""
        artifact = self.artifact or Artifact()
        if self.variant in SCRATCH:
            model = _from_scratch(bench, self.cell.seed, artifact).to(bench.device)
        else:
            model = bench.start(self.cell)
            _fill(bench, model, artifact)
            model = _without_channels(bench, model, artifact) if artifact.channels else model
        parameters = bench.weights(model)
        self.masks = {parameters[position]: mask for position, mask in artifact.masks.items()}
        self.model = model.to(memory_format=bench.memory_format)

    def drop(self) -> None:
        """Let go of the network, until it is built again."""
        vars(self).pop("model", None)
        self.masks = {}


def first_channels(artifact: Artifact) -> dict[int, Tensor]:
    """As many channels of each group as an artifact keeps, the first ones: among new weights none is better than another."""
    return {p: torch.arange(len(kept)) < int(kept.sum()) for p, kept in artifact.channels.items()}


def _from_scratch(bench: Bench, seed: int, artifact: Artifact) -> nn.Module:
    """The small network with new weights: some of the large one's initial ones, spread as its own narrower layers ask."""
    large = bench.initial(seed)
    small = remove_channels(large, bench.groups, first_channels(artifact))
    with torch.no_grad():
        for name, module in small.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                wide = cast(nn.Conv2d | nn.Linear, large.get_submodule(name))
                spread = math.sqrt(wide.weight[0].numel() / module.weight[0].numel())
                for parameter in module.parameters(recurse=False):
                    parameter.mul_(spread)
    return small


def evaluate(bench: Bench, candidates: Sequence[Candidate]) -> list[Measurement]:
    """Score networks of one seed and recipe as they are pruned, train them side by side, and score them again.

    Each is trained as it would be alone: they share nothing but the batches, and on a GPU kernels that may round otherwise.
    """
    began = time.perf_counter()
    before = [_before(bench, candidate) for candidate in candidates]
    timed = [_timed(bench, candidate) for candidate in candidates]
    recipe = candidates[0].recipe
    scoring = (time.perf_counter() - began) / len(candidates)
    measured = [
        Measurement(counts=c.counts, before=score, latency=latency, log=log, scoring_seconds=scoring)
        for c, score, (latency, log) in zip(candidates, before, timed, strict=True)
    ]
    if recipe is None:
        return [_as_trained(c, m) for c, m in zip(candidates, measured, strict=True)]
    constant = recipe.schedule == "constant"
    courses = [Course(recipe.epochs, partial(bench.score, c.model), constant=constant) for c in candidates]

    def after_epoch(epoch: int) -> None:
        finish(bench.device)  # else what is left to train would count as scoring
        for course in courses:
            course.after_epoch(epoch)

    seed, layout = candidates[0].cell.seed, bench.memory_format
    trainees = [Trainee(c.model, recipe, masks=c.masks, memory_format=layout) for c in candidates]

    def sample() -> tuple[Tensor, Tensor]:
        return next(batches(bench.train, recipe, stream("order", seed, 0), layout))

    together = in_form(bench.training_form, trainees, sample)
    started = time.perf_counter()
    train_together(together, bench.train, recipe, seed=seed, after_epoch=after_epoch)
    seconds = time.perf_counter() - started - sum(course.seconds for course in courses)
    return [
        m.model_copy(
            update={
                "log": "\n".join(filter(None, (m.log, trainee.form))),
                "after": course.last,
                "trainability": course.trainability,
                "retraining_seconds": seconds / len(candidates),
                "retraining_epochs": recipe.epochs,
                "scoring_seconds": scoring + course.seconds,
            }
        )
        for m, course, trainee in zip(measured, courses, trainees, strict=True)
    ]


def _before(bench: Bench, candidate: Candidate) -> Score | None:
    """After recalibration of BatchNorm and before any retraining; nothing where training only begins."""
    fresh = candidate.cell.track in FROM_FRESH or candidate.variant in SCRATCH
    if fresh and candidate.recipe is not None:
        return None
    if not fresh:
        seed, form = candidate.cell.seed, bench.memory_format
        recalibrate(candidate.model, bench.train, bench.trained_by, bench.protocol, seed=seed, memory_format=form)
    return bench.score(candidate.model)


def _as_trained(candidate: Candidate, measured: Measurement) -> Measurement:
    """A network that its method has trained to the end is scored once, after training."""
    if candidate.cell.track != "sparse-training":
        return measured
    return measured.model_copy(update={"before": None, "after": measured.before})


def _timed(bench: Bench, candidate: Candidate) -> tuple[list[Latency], str]:
    """Latency of what some device runs faster, and a line on what should have one and has none.

    That is every network without channels, and every one with the pattern that there are kernels for. The dense one, whose
    score all divisions share, is timed as both of them are.
    """
    model, form, dense = candidate.model, bench.memory_format, candidate.variant == "dense"
    found: list[Latency] = []
    log = ""
    if candidate.cell.division == "structured" or (dense and bench.timed):
        found += measure_latency(model, bench.kind.shape, bench.device, form)
    if candidate.cell.target == PATTERN or (dense and bench.timed_in_half):
        in_half, log = measure_half(model, bench.kind, form, sparse=not dense)
        found += in_half
    return found, log


def _fill(bench: Bench, model: nn.Module, artifact: Artifact) -> None:
    """Give ``model`` what the artifact says of its weights, zero where nothing is kept."""
    with torch.no_grad():
        for index, (_, tensor) in enumerate(floating_state(model) if artifact.state else []):
            tensor.copy_(artifact.state[index])
        parameters = bench.weights(model)
        for position, weight in artifact.weights.items():
            parameters[position].copy_(weight)
        for position, mask in artifact.masks.items():
            parameters[position].mul_(mask.to(bench.device))


def _without_channels(bench: Bench, model: nn.Module, artifact: Artifact) -> nn.Module:
    """The small network. Raises EspalierError, an error of ours, when it is not the same function as the silenced one."""
    small = remove_channels(model, bench.groups, artifact.channels)
    silence(model, bench.groups, artifact.channels)
    inputs = next(bench.train.in_order(8))[0].cpu()
    # on the CPU: a GPU has other kernels for other widths, and some of them round more than what is to be seen here
    both = [network.eval().cpu() for network in (model, small)]
    with torch.inference_mode():
        silenced, removed = (network(inputs) for network in both)
    # a network that its method let overflow is scored as it is
    silenced, removed = (torch.nan_to_num(logits, nan=0, posinf=0, neginf=0) for logits in (silenced, removed))
    if not torch.allclose(silenced, removed, atol=AGREEMENT * float(silenced.abs().max().clamp(min=1)), rtol=0):
        raise EspalierError("the network without channels differs from the one in which they are silenced", where=bench.name)
    return small.to(bench.device)


def misses_target(
    cell: Cell, counts: Counts, masks: dict[int, Tensor], tolerance: float, keep: int | None = None
) -> str | None:
    """What is off the target by more than ``tolerance`` (a fraction), in words; None when nothing is.

    Args:
        keep: how many prunable weights the target leaves, where it is a compression.
    """
    wanted = pattern(cell.target)
    if wanted is not None:
        wrong = [position for position, mask in masks.items() if not has_pattern(mask, *wanted)]
        return f"layer {wrong[0]} does not keep exactly {cell.target} along its inputs" if wrong else None
    what, found = ("speedup", counts.speedup) if cell.division == "structured" else ("compression", counts.compression)
    target = float(cell.target)
    if found is not None and abs(found - target) <= tolerance * target:
        return None
    reason = f"{what} {found:.3f}, asked for {target:g}" if found is not None else f"nothing is left, asked for {target:g}"
    if keep is None:
        return reason
    kept, total = (sum(getattr(layer, name) for layer in counts.layers) for name in ("kept", "total"))
    return f"{reason}: {kept:,} of {total:,} prunable weights are kept, job.keep is {keep:,}"
