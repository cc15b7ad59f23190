"""Base models: the dense networks from which every method starts, one for each benchmark and seed.

The stored tensors, in half precision, are the definition; they are identified by the SHA-256 of the file, which the
grid pins in ``bases.yaml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save
from torch import nn

from evaluator.base_files import base_path, initial_seed, kept_elsewhere
from evaluator.canonical import digest_bytes, digest_file, write_atomically
from evaluator.data import Prepared, prepare
from evaluator.data.images import Images
from evaluator.downloads import download
from evaluator.errors import BaseModelError
from evaluator.grid import Grid, Recipe
from evaluator.networks import architecture
from evaluator.published import load_published
from evaluator.records import Score
from evaluator.repository import Repository
from evaluator.scoring import measure
from evaluator.training import MEMORY_FORMATS, Trainee, train

Say = Callable[[str], None]


def load_base(path: Path, model: nn.Module) -> None:
    """Fill ``model`` with the stored tensors, as float32."""
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_file(path).items()}
    model.load_state_dict(tensors)


def initial_model(name: str, seed: int) -> nn.Module:
    """An architecture with the initial weights that a seed of PyTorch's gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture(name).build()


def make_bases(repository: Repository, grid: Grid, benchmark: str, seeds: Sequence[int], *, say: Say) -> dict[int, float]:
    """Store base models of some seeds and pin their digests; returns the test accuracy of each in percent.

    They are downloaded where the grid says from where, are the published weights as they are where there is no dense
    recipe, and are trained by that recipe otherwise, from published weights or from random ones; by a GPU side by side.
    """
    bench = _Bench(grid, benchmark, repository, say)
    pins = grid.bases.get(benchmark, {})
    linked = {seed: pins[seed] for seed in seeds if seed in pins and pins[seed].url}
    for seed, pin in linked.items():
        assert pin.url is not None
        download(pin.url, base_path(repository, benchmark, seed), pin.sha256, say=say)
    made = bench.make([seed for seed in seeds if seed not in linked])
    for seed, content in made.items():
        path = base_path(repository, benchmark, seed)
        if seed in pins and kept_elsewhere(grid, benchmark, seed) and pins[seed].sha256 != digest_bytes(content):
            raise BaseModelError("what was made is not the base model that the grid names", where=path)
        write_atomically(path, content)
        _pin(repository, benchmark, seed, digest_bytes(content))
    return {seed: bench.accuracy(seed) for seed in seeds}


def share_base(repository: Repository, grid: Grid, benchmark: str, seed: int) -> bool:
    """Where every seed has the same base model, give this one the file of another; whether that was possible."""
    path = base_path(repository, benchmark, seed)
    others = [base_path(repository, benchmark, other) for other in grid.benchmark(benchmark).seeds if other != seed]
    there = next((other for other in others if other.is_file()), None)
    if grid.benchmark(benchmark).dense_recipe or there is None:
        return False
    path.unlink(missing_ok=True)
    os.link(there, path)
    _pin(repository, benchmark, seed, digest_file(path))
    return True


def score_published(repository: Repository, grid: Grid, benchmark: str, *, say: Say) -> Score:
    """The published weights from which a benchmark starts, scored as they are, in float32."""
    bench = _Bench(grid, benchmark, repository, say)
    return bench.score(bench.start(0))


class _Bench:
    """What making and scoring base models of one benchmark takes."""

    def __init__(self, grid: Grid, benchmark: str, repository: Repository, say: Say) -> None:
        self.repository, self.grid, self.name, self.say = repository, grid, benchmark, say
        self.entry = grid.benchmark(benchmark)
        self.kind = architecture(self.entry.architecture)
        self.dataset = grid.datasets[self.entry.dataset]
        self.recipe = grid.recipes[self.entry.dense_recipe] if self.entry.dense_recipe else None
        self.memory_format = MEMORY_FORMATS[grid.architectures[self.entry.architecture].memory_format]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.data = prepare(self.entry.dataset, self.dataset, say=say, thorough=True)
        if self.dataset.train_digest is None or self.dataset.test_digest is None:
            _pin_data(repository, self.entry.dataset, self.data)

    def start(self, seed: int) -> nn.Module:
        """The network with published weights, or with the initial ones that the seed gives it."""
        model = initial_model(self.entry.architecture, initial_seed(self.name, seed))
        if self.entry.start:
            load_published(self.entry.start, model, say=self.say)
        return model

    def make(self, seeds: Sequence[int]) -> dict[int, bytes]:
        """The files of some seeds. From published weights a seed decides only the order of images and their augmentation."""
        models = {seed: self.start(seed).to(self.device) for seed in seeds}
        if self.recipe and models:
            self._train(models, self.recipe)
        return {seed: self.store(model) for seed, model in models.items()}

    def _train(self, models: Mapping[int, nn.Module], recipe: Recipe) -> None:
        def report(seeds: str) -> Callable[[int], None]:
            return lambda epoch: self.say(f"{self.name} {seeds}: epoch {epoch}/{recipe.epochs}")

        images = Images.load(self.data.train, self.dataset, self.device)
        if self.device.type == "cuda":
            from evaluator.graphs import train_apart

            trainees = {seed: Trainee(m, recipe, memory_format=self.memory_format) for seed, m in models.items()}
            train_apart(trainees, images, recipe, after_epoch=report(f"seeds {', '.join(map(str, models))}"))
            return
        for seed, model in models.items():
            train(model, images, recipe, seed=seed, memory_format=self.memory_format, after_epoch=report(f"seed {seed}"))

    @staticmethod
    def store(model: nn.Module) -> bytes:
        """The file of a base model: its tensors in half precision."""
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
        return save({name: t.cpu().contiguous() for name, t in tensors.items()})

    def accuracy(self, seed: int) -> float:
        """Of the base model that is stored."""
        model = self.kind.build()
        load_base(base_path(self.repository, self.name, seed), model)
        return self.score(model).accuracy

    def score(self, model: nn.Module) -> Score:
        """On the whole test set, in float32."""
        test = Images.load(self.data.test, self.dataset, self.device)
        model.to(self.device).to(memory_format=self.memory_format)
        batch = self.grid.protocol.evaluation_batch
        return measure(model, test, self.dataset.classes, batch, self.memory_format).score


def _pin(repository: Repository, benchmark: str, seed: int, sha256: str) -> None:
    """Write the digest of a base model into the grid."""
    path = repository.grid / "bases.yaml"
    text = path.read_text(encoding="utf-8")
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    pins = yaml.safe_load(text) or {}
    pins.setdefault(benchmark, {})[seed] = {"sha256": sha256}
    body = yaml.safe_dump({name: dict(sorted(pins[name].items())) for name in sorted(pins)}, sort_keys=False)
    write_atomically(path, (header + body).encode())


def _pin_data(repository: Repository, name: str, data: Prepared) -> None:
    """Write the digests of a data set into the grid: they are those of whoever had the data first."""
    path = repository.grid / "datasets.yaml"
    pins = {"train_digest": data.train_digest, "test_digest": data.test_digest}
    before, header, rest = re.split(rf"^({re.escape(name)}:\n)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    own = re.match(r"(?:[ #].*\n|\n)*", rest)
    assert own is not None
    kept = re.sub(r"^  (train|test)_digest:.*\n", "", own[0], flags=re.MULTILINE)
    lines = "".join(f"  {key}: {value}\n" for key, value in pins.items())
    write_atomically(path, (before + header + lines + kept + rest[own.end() :]).encode())
