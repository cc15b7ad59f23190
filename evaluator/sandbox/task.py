"""One task, in the forked process: import the method, let it prune, check what it says, write it as tensors.

From the import on nothing here can be trusted: the method runs in the same process. What is checked here is checked so
that the author reads a useful message; what counts is checked again by the scorer (``evaluator.admission``).
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from evaluator.bases import load_base
from evaluator.contract import Job, Layer, Pruned, PruningMethod
from evaluator.data.images import Images
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.metadata import Needs
from evaluator.networks import architecture
from evaluator.training import stream

ARTIFACT = "artifact.safetensors"


class Data(NamedTuple):
    train: Images
    validation: Images


def perform(config: dict[str, Any], task: dict[str, Any], data: Data) -> None:
    """Prune one cell and write the artifact. Raises whatever the method raises, and InvalidOutcome."""
    job = build_job(config, task, data)
    method = load_method(Path(config["method"]), config["hyperparameters"])
    outcome = method.prune(job)
    write(Path(config["output"]) / ARTIFACT, tensors_of(outcome, job.layers()))


def build_job(config: dict[str, Any], task: dict[str, Any], data: Data) -> Job:
    generator = stream("method", task["seed"])
    torch.set_num_threads(1)
    # the public function also sets an option of torch.compile, and for that imports it: seconds, for every task
    torch._C._set_deterministic_algorithms(True)
    random.seed(generator.initial_seed())
    np.random.seed(generator.initial_seed() % 2**32)
    torch.manual_seed(generator.initial_seed())
    kind = architecture(task["architecture"])
    model = kind.build()
    load_base(Path(config["bases"][task["base"]]), model)
    torch.manual_seed(generator.initial_seed())
    return Job(
        model.to(config["device"]),
        kind.classifier,
        keep=task["keep"],
        train=data.train.to(config["device"]),
        validation=data.validation.to(config["device"]),
        needs=Needs.model_validate(config["needs"]),
        generator=generator,
    )


def load_method(path: Path, hyperparameters: Mapping[str, Any]) -> PruningMethod:
    """An instance of the one PruningMethod that the file defines."""
    spec = importlib.util.spec_from_file_location("method", path)
    if spec is None or spec.loader is None:
        raise ContractError("method.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules["method"] = module
    spec.loader.exec_module(module)
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, PruningMethod) and value.__module__ == "method"
    }
    if len(found) != 1:
        names = ", ".join(sorted(kind.__name__ for kind in found)) or "none"
        raise ContractError(f"method.py must define exactly one subclass of PruningMethod; found: {names}")
    return found.pop()(**hyperparameters)


def tensors_of(outcome: object, layers: list[Layer]) -> dict[str, Tensor]:
    """The outcome as named tensors. Raises InvalidOutcome for all but a wrong number of kept weights."""
    if not isinstance(outcome, Pruned):
        raise InvalidOutcome(f"prune() returned {type(outcome).__name__}", fix="return a Pruned, e.g. from job.keep_highest")
    shapes = {layer.position: tuple(layer.weight.shape) for layer in layers}
    if unknown := [key for key in (*outcome.masks, *outcome.weights) if key not in shapes]:
        raise InvalidOutcome(f"there is no layer {unknown[0]!r}", fix=f"layers are numbered 0 to {len(shapes) - 1}")
    tensors = {}
    for position, shape in shapes.items():
        mask = _checked(outcome.masks.get(position), shape, f"mask of layer {position}")
        if mask.dtype != torch.bool:
            raise InvalidOutcome(f"the mask of layer {position} is {mask.dtype}", fix="make it boolean: True where kept")
        tensors[f"mask.{position}"] = mask.detach().to("cpu", torch.uint8).contiguous()
    for position, weight in sorted(outcome.weights.items()):
        _checked(weight, shapes[position], f"new weight of layer {position}")
        if not weight.is_floating_point() or not bool(torch.isfinite(weight).all()):
            raise InvalidOutcome(f"the new weight of layer {position} is not all finite real numbers")
        tensors[f"weight.{position}"] = weight.detach().to("cpu", torch.float32).contiguous()
    return tensors


def _checked(value: Tensor | None, shape: tuple[int, ...], what: str) -> Tensor:
    if value is None:
        raise InvalidOutcome(f"there is no {what}", fix="give one for every layer of job.layers()")
    if not isinstance(value, Tensor):
        raise InvalidOutcome(f"the {what} is a {type(value).__name__}, not a tensor")
    if tuple(value.shape) != shape:
        raise InvalidOutcome(f"the {what} has shape {tuple(value.shape)}, but the weight has {shape}")
    return value


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(save(dict(tensors)))
