"""The record of one cell: everything that a page shows and everything needed to run it again.

A failed or collapsed run is a record too. Counts are integers, accuracies are counts of correct images; whatever is
derived from them is a property, so that no derived number can disagree with its source.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.canonical import digest
from evaluator.grid import Cell
from evaluator.grid.cells import RETRAINED, Division, Track
from evaluator.records.keys import Inputs

SCHEMA: Literal[2] = 2

Status = Literal["ok", "missed_target", "invalid_output", "method_error", "timeout", "out_of_memory", "infrastructure"]
"""How a cell ended. Only ``infrastructure`` is tried again. An infeasible target is no failure and has no record."""

Variant = Literal["method", "matched-random", "matched-magnitude", "scratch-e", "scratch-b", "dense"]
"""Whose network was scored: the method's, a control's with the method's layerwise densities or widths, or the dense one."""

MATCHED: tuple[Variant, ...] = ("matched-random", "matched-magnitude")
SCRATCH: tuple[Variant, ...] = ("scratch-e", "scratch-b")
"""The small network that a structured method leaves, trained from new weights by the dense recipe (Liu et al. 2019): for as
many epochs as the dense one (E), or for as many multiply-accumulates (B)."""
CONTROLS = (*MATCHED, *SCRATCH)
"""Beside a method's result, in the order in which tables show them."""


def is_control(variant: Variant) -> bool:
    """Neither a method's own network nor the dense one."""
    return variant in CONTROLS


def controls_of(cell: Cell) -> tuple[Variant, ...]:
    """The controls that stand beside a method's result in a cell."""
    scratch = cell.division == "structured" and cell.track in RETRAINED
    return CONTROLS if scratch else MATCHED


SandboxKind = Literal["bubblewrap", "none"]

DENSE = "dense"
"""Stands in place of a submission's slug in the records of the dense control."""

DENSE_ARTIFACT = digest("dense")
"""The artifact of a network that nothing was removed from."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayerCount(Part):
    """One prunable layer."""

    position: int
    shape: list[int]
    kept: int

    @property
    def total(self) -> int:
        product = 1
        for side in self.shape:
            product *= side
        return product

    @property
    def density(self) -> float:
        """Kept share, 0 to 1."""
        return self.kept / self.total


class Counts(Part):
    """What is left of the network, counted from masks and shapes, never from zero values."""

    parameters: Annotated[int, Field(description="trainable parameters of the dense network")]
    kept: Annotated[int, Field(description="trainable parameters kept")]
    effective: Annotated[int, Field(description="kept parameters that some path joins to both input and logits")]
    macs: Annotated[int, Field(description="multiply-accumulates of the dense network for one input")]
    macs_kept: int
    speedup_kind: Literal["mask", "materialised"]
    collapsed: Annotated[bool, Field(description="no path is left from the input to the logits")]
    layers: list[LayerCount]
    channels: Annotated[list[int], Field(description="channels kept of each group, where channels are removed")] = []

    @property
    def compression(self) -> float:
        return self.parameters / self.kept

    @property
    def effective_compression(self) -> float | None:
        """None when nothing effective is left."""
        return self.parameters / self.effective if self.effective else None

    @property
    def speedup(self) -> float | None:
        """Theoretical; None when no multiply-accumulate is left."""
        return self.macs / self.macs_kept if self.macs_kept else None

    @property
    def sparsity(self) -> float:
        """Over the prunable weights only."""
        return 1 - sum(layer.kept for layer in self.layers) / sum(layer.total for layer in self.layers)


class Score(Part):
    """One pass over the whole test set."""

    correct: int
    correct_top5: Annotated[int | None, Field(description="only where there are more than 10 classes")] = None
    images: int
    loss: Annotated[float, Field(description="mean cross-entropy, nats")]
    class_correct: Annotated[list[int], Field(description="correct images per class")]
    class_images: list[int]
    predictions: Annotated[str, Field(description="SHA-256 of the predicted classes, one byte (or two) an image")]

    @property
    def accuracy(self) -> float:
        """Top-1, percent."""
        return 100 * self.correct / self.images

    @property
    def recall(self) -> list[float]:
        """Per class, percent."""
        return [100 * hit / total for hit, total in zip(self.class_correct, self.class_images, strict=True)]


class Latency(Part):
    """Wall time of a forward pass of the network as it would be used: its channels really removed, its 2:4 layers run by
    kernels for them."""

    device: str
    threads: Annotated[int, Field(description="of the processor; 1 on a GPU")]
    batch: int
    dtype: str
    median_ms: float
    quartiles_ms: Annotated[tuple[float, float], Field(description="a quarter of the runs was faster, a quarter slower")]
    runs: int
    sparse_layers: Annotated[
        int, Field(ge=0, description="layers run by kernels for 2:4 sparsity", exclude_if=lambda layers: layers == 0)
    ] = 0


class Cost(Part):
    """Measured from outside. What retraining cost is shared by all records of one score key: it was done once."""

    pruning_seconds: float
    pruning_epochs: float = 0
    pruning_memory_mb: Annotated[
        float | None, Field(description="peak of the host's memory; what a GPU held, only the method's process could say")
    ] = None
    retraining_seconds: float = 0
    retraining_epochs: int = 0
    scoring_seconds: float = 0


class Environment(Part):
    """Where something was pruned or measured: provenance, not part of a key."""

    device_class: str
    device: str
    torch: str
    cuda: str | None = None
    driver: str | None = None
    python: str
    platform: str
    espalier: str
    sandbox: SandboxKind


class Record(Part):
    """One cell of one submission (or control), measured once."""

    schema_version: Literal[2] = SCHEMA
    benchmark: str
    track: Track
    division: Division
    target: float | str
    seed: int
    submission: str
    variant: Variant
    recipe: str
    setup: str
    status: Status
    reason: Annotated[str | None, Field(description="one line for people, when the status is not ok")] = None
    log: Annotated[str, Field(description="the end of what the method printed, and what the scorer has to say")] = ""
    counts: Counts | None = None
    before: Annotated[Score | None, Field(description="after recalibration of BatchNorm, before retraining")] = None
    after: Annotated[Score | None, Field(description="after the last epoch of retraining")] = None
    trainability: Annotated[
        float | None,
        Field(description="mean test accuracy over the first third of retraining; at a constant rate, all of it"),
    ] = None
    latency: list[Latency] = []
    cost: Cost
    inputs: Inputs
    artifact: Annotated[str | None, Field(description="SHA-256 of masks and weights")] = None
    prune_key: str
    score_key: str | None = None
    environment: Environment
    pruned_in: Annotated[
        Environment | None,
        Field(
            description="where its masks were made, when the same network had been measured elsewhere before",
            exclude_if=lambda environment: environment is None,
        ),
    ] = None
    created: Annotated[str, Field(description="UTC, ISO 8601")]

    @property
    def cell(self) -> Cell:
        return Cell(self.benchmark, self.track, self.division, self.target, self.seed)

    @property
    def made_in(self) -> Environment:
        """Where its masks were made, and the record itself: mostly where it was measured too."""
        return self.pruned_in or self.environment

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Where its masks were made and where it was measured, each once."""
        return tuple(dict.fromkeys((self.made_in, self.environment)))

    @property
    def torches(self) -> tuple[str, ...]:
        """The versions of PyTorch that it comes from, each once."""
        return tuple(dict.fromkeys(environment.torch for environment in self.environments))

    @property
    def sandbox(self) -> SandboxKind:
        """``none`` where its masks were made, or it was measured, without one."""
        return "none" if any(environment.sandbox == "none" for environment in self.environments) else "bubblewrap"

    @property
    def identity(self) -> tuple[str, str, str, Cell]:
        """At most one record in a store has it."""
        return (self.submission, self.variant, self.recipe, self.cell)
