"""Base models: the dense networks from which every method starts, one for each benchmark and seed.

The stored tensors, in half precision, are the definition; they are identified by the SHA-256 of the file, which the
grid pins in ``bases.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save
from torch import nn

from evaluator.base_files import base_path, initial_seed
from evaluator.canonical import digest_bytes, write_atomically
from evaluator.data import Prepared, prepare
from evaluator.data.images import Images
from evaluator.grid import Grid
from evaluator.networks import architecture
from evaluator.published import load_published
from evaluator.repository import Repository
from evaluator.scoring import measure
from evaluator.training import MEMORY_FORMATS, train


def load_base(path: Path, model: nn.Module) -> None:
    """Fill ``model`` with the stored tensors, as float32."""
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_file(path).items()}
    model.load_state_dict(tensors)


def initial_model(name: str, seed: int) -> nn.Module:
    """An architecture with the initial weights that a seed of PyTorch's gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture(name).build()


def train_base(repository: Repository, grid: Grid, benchmark: str, seed: int, *, say: Callable[[str], None]) -> float:
    """Train one base model by the grid's dense recipe, store it and pin its digest; returns its test accuracy in percent.

    Where the benchmark starts from published weights, the seed decides the order of the images and their augmentation alone.
    """
    entry = grid.benchmark(benchmark)
    dataset = grid.datasets[entry.dataset]
    recipe = grid.recipes[entry.dense_recipe]
    data = prepare(entry.dataset, dataset, say=say, thorough=True)
    if dataset.train_digest is None or dataset.test_digest is None:
        _pin_data(repository, entry.dataset, data)
    memory_format = MEMORY_FORMATS[grid.architectures[entry.architecture].memory_format]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = initial_model(entry.architecture, initial_seed(benchmark, seed))
    if entry.start:
        load_published(entry.start, model, say=say)
    model.to(device)
    images = Images.load(data.train, dataset, device)
    report = lambda epoch: say(f"{benchmark} seed {seed}: epoch {epoch}/{recipe.epochs}")  # noqa: E731
    train(model, images, recipe, seed=seed, memory_format=memory_format, after_epoch=report)
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    content = save({name: t.cpu().contiguous() for name, t in tensors.items()})
    write_atomically(base_path(repository, benchmark, seed), content)
    _pin(repository, benchmark, seed, digest_bytes(content))
    load_base(base_path(repository, benchmark, seed), model)
    measured = measure(model, Images.load(data.test, dataset, device), dataset.classes, grid.protocol.evaluation_batch)
    return measured.score.accuracy


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
