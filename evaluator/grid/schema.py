"""What a grid file may say. Each class is one kind of entry; its fields are the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.grid.cells import Division, Track

SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,60}")
Digest = Annotated[str, Field(pattern=f"^{SHA256.pattern}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$")]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(Entry):
    """How the official parts become train, validation and test."""

    train: Annotated[int | None, Field(gt=0, description="images left for training, where they are counted")] = None
    validation: Annotated[int, Field(gt=0, description="images moved from training to validation, by hash of the index")]
    test: Annotated[int, Field(gt=0, description="images in the test set")]


class Dataset(Entry):
    title: str
    source: Literal["scikit-learn", "torchvision", "image-folder", "image-stream"]
    shape: Annotated[tuple[int, int, int], Field(description="channels, height, width")]
    classes: Annotated[int, Field(ge=2)]
    class_names: Annotated[list[str], Field(description="may be left out where they are many")] = []
    split: Split
    mean: Annotated[list[float], Field(description="per channel, of the training pixels scaled to 0..1")]
    std: list[float]
    maximum: Annotated[int, Field(gt=0, description="the pixel value that stands for 1.0")] = 255
    train_digest: Annotated[Digest | None, Field(description="of the train and validation arrays")] = None
    test_digest: Digest | None = None
    get: Annotated[str, Field(description="how a user gets the data")]

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        if len(self.class_names) not in (0, self.classes):
            raise ValueError(f"{len(self.class_names)} class names for {self.classes} classes")
        if not len(self.mean) == len(self.std) == self.shape[0]:
            raise ValueError("mean and std need one value per channel")
        if self.source.startswith("image-") and self.split.train is None:
            raise ValueError("split.train is needed, to notice a folder that lacks files")
        return self


GpuForm = Literal["streams", "fused", "compiled"]
"""How a GPU trains networks of one shape: each on a stream of its own, as one wide network, or that one compiled."""


class Architecture(Entry):
    title: str
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    source: str
    parameters: Annotated[int, Field(gt=0, description="trainable parameters of the dense network")]
    prunable: Annotated[int, Field(gt=0, description="weights that may be pruned")]
    macs: Annotated[int, Field(gt=0, description="multiply-accumulates of the dense network for one input")]

    together: Annotated[int, Field(gt=0, description="how many are trained side by side on a GPU")] = 8
    gpu_form: Annotated[GpuForm, Field(description="in what form those of one shape are trained there")] = "streams"
    highest_speedup: Annotated[float, Field(ge=1, description="with one channel left of each group that may be pruned")] = 1

    @property
    def highest_compression(self) -> float:
        """What would be reached by keeping one prunable weight; the rest is never pruned."""
        return self.parameters / (self.parameters - self.prunable + 1)

    def keep(self, compression: float) -> int | None:
        """How many prunable weights a compression leaves; None when even none would be too many."""
        kept = round(self.parameters / compression) - (self.parameters - self.prunable)
        return kept if kept > 0 else None


class Recipe(Entry):
    """A training schedule: SGD over whole epochs, the last one counts."""

    title: str
    optimizer: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    batch: Annotated[int, Field(gt=0)] = 128
    epochs: Annotated[int, Field(gt=0)]
    schedule: Literal["constant", "cosine"] = "cosine"
    tail_of: Annotated[int | None, Field(gt=0, description="epochs of the longer schedule whose last part this is")] = None
    augment: Literal["none", "flip-crop", "flip-resized-crop"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"

    def functional(self) -> dict[str, object]:
        """What decides the outcome: everything but the title."""
        return self.model_dump(exclude={"title"}, exclude_none=True)

    @model_validator(mode="after")
    def _a_tail_is_shorter(self) -> Recipe:
        if self.tail_of is not None and self.tail_of < self.epochs:
            raise ValueError(f"{self.epochs} epochs cannot be the tail of {self.tail_of}")
        return self


class Start(Entry):
    """Published weights, from which base models are trained instead of random ones, or which are the base model."""

    url: Annotated[str, Field(pattern=r"^https://", description="of the original file, which is downloaded once")]
    sha256: Annotated[Digest, Field(description="of the original file")]
    names: Annotated[
        Literal["akamaster", "torchvision", "torchvision-vit"], Field(description="whose names the file's tensors have")
    ]
    source: Annotated[str, Field(description="who trained them, and on what")]
    correct: Annotated[
        int | None, Field(ge=0, description="test images that they get right as they are, in float32: an external check")
    ] = None

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


class Targets(Entry):
    axis: Literal["compression", "speedup", "pattern"]
    values: list[float | str]
    stress: Annotated[list[float], Field(description="beyond the values; asked for by name, and in no summary figure")] = []
    tolerance: Annotated[float, Field(gt=0, lt=1, description="a realised target may miss by this fraction")]


class Limits(Entry):
    """What a sandbox may use for one cell."""

    wall_seconds: Annotated[float, Field(gt=0)]
    memory_mb: Annotated[int, Field(gt=0)]
    processes: Annotated[int, Field(gt=0)]
    output_mb: Annotated[int, Field(gt=0)]


class Tier(Entry):
    title: str
    note: str
    ranked: bool
    device_class: Annotated[str, Field(description="published numbers come from this class of device")]
    torch: Annotated[str, Field(description="accepted torch versions, as in packaging")]
    limits: Limits

    def accepts_torch(self, version: str) -> bool:
        """False also for what is no version."""
        try:
            return SpecifierSet(self.torch).contains(Version(version), prereleases=True)
        except InvalidVersion:
            return False

    def refusals(self, versions: Iterable[str]) -> list[str]:
        """Which of some versions of PyTorch figures may not come from any more, in words that are safe to print."""
        refused = [version for version in versions if not self.accepts_torch(version)]
        return [f"measured with torch {_printable(version)}, the tier accepts {self.torch}" for version in refused]


def _printable(version: str) -> str:
    return version if VERSION.fullmatch(version) else "of no version"


class Benchmark(Entry):
    title: str
    dataset: str
    architecture: str
    tier: str
    start: Annotated[Start | None, Field(description="published weights; without them a base model starts at random")] = None
    dense_recipe: Annotated[
        str | None, Field(description="none: the published weights are the base model of every seed")
    ] = None
    fresh_recipe: Annotated[str | None, Field(description="of networks from initial weights; by default dense")] = None
    retraining_recipe: str
    alternative_recipes: Annotated[list[str], Field(description="for retraining, to see whether an order holds")] = []
    pruning_recipe: Annotated[str | None, Field(description="of the iterative track: how methods train, and how long")] = (
        None
    )
    recalibration_batches: Annotated[int | None, Field(gt=0, description="instead of the protocol's number")] = None
    evaluation_batch: Annotated[int | None, Field(gt=0, description="instead of the protocol's size; changes no count")] = (
        None
    )
    tracks: list[Track]
    divisions: list[Division]
    seeds: Annotated[list[int], Field(min_length=1)] = [0, 1, 2]
    targets: Annotated[dict[Division, list[float | str]], Field(description="instead of the division's own values")] = {}

    @model_validator(mode="after")
    def _has_base_models(self) -> Benchmark:
        if self.dense_recipe is None and self.start is None:
            raise ValueError("base models come from a dense_recipe, from a start, or from both")
        return self


class Protocol(Entry):
    """Versions and constants of the measurement; a version changes whenever a figure could."""

    prune_version: int
    scoring_version: int
    controls_version: int
    evaluation_batch: int
    recalibration_batches: int
    recalibration_batch: int
    files: Annotated[dict[str, dict[str, str]], Field(description="per part: protocol source file -> SHA-256")]


class Base(Entry):
    sha256: Digest
    url: Annotated[str | None, Field(pattern=r"^https://", description="where it is, if it is too large for git")] = None
