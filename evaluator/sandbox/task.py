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

from evaluator.bases import initial_model, load_base
from evaluator.checkpoints import Checkpoints
from evaluator.contract import Job, Pruned, PruningMethod
from evaluator.data.images import Images
from evaluator.device import repeatable
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.grid import Recipe
from evaluator.job import Goal
from evaluator.metadata import Needs
from evaluator.method_training import MethodTraining
from evaluator.networks import architecture, floating_state
from evaluator.sandbox.given import BASE, CHECKPOINTS
from evaluator.sandbox.hints import copies, dropped
from evaluator.training import MEMORY_FORMATS, stream

ARTIFACT = "artifact.safetensors"


class Data(NamedTuple):
    train: Images
    validation: Images


def perform(config: dict[str, Any], task: dict[str, Any], data: Data) -> int:
    """Prune one cell and write the artifact; returns the epochs that the method trained.

    Raises whatever the method raises, and InvalidOutcome.
    """
    job, training = build_job(config, task, data)
    method = load_method(Path(config["method"]), config["hyperparameters"])
    before = copies(job) if task["trial"] and task["base"] is not None and not task["training"] else {}
    outcome = method.prune(job)
    if isinstance(outcome, Pruned) and outcome.weights and task["base"] is None and not task["training"]:
        raise InvalidOutcome("new weights are given, but the network is trained from its initial ones", fix="masks only")
    write(Path(config["output"]) / ARTIFACT, tensors_of(outcome, job, trains=task["training"] is not None))
    if isinstance(outcome, Pruned) and (hint := dropped(before, outcome, job)):
        sys.stderr.write(f"{hint}\n")
    return task["training"]["epochs"] - training.left if training else 0


def build_job(config: dict[str, Any], task: dict[str, Any], data: Data) -> tuple[Job, MethodTraining | None]:
    """The job, and what counts its epochs, which is not asked of the job: a method may have changed that one."""
    generator = stream("method", task["seed"])
    torch.set_num_threads(1)
    repeatable()
    random.seed(generator.initial_seed())
    np.random.seed(generator.initial_seed() % 2**32)
    kind = architecture(task["architecture"])
    model = initial_model(task["architecture"], task["initial"])
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()} if task["training"] else {}
    if task["base"] is not None:
        load_base(Path(config["given"]) / BASE, model)
    torch.manual_seed(generator.initial_seed())
    train = data.train.to(config["device"])
    pattern = task["pattern"]
    checkpoints = _checkpoints(config, task)
    training = _training(task, train, initial, checkpoints) if task["training"] else None
    job = Job(
        model.to(config["device"]),
        kind.classifier,
        Goal(task["keep"], task["speedup"], (pattern[0], pattern[1]) if pattern else None),
        train=train,
        validation=data.validation.to(config["device"]),
        needs=Needs.model_validate(config["needs"]),
        generator=generator,
        training=training,
    )
    job.checkpoints = checkpoints
    return job, training


def _training(task: dict[str, Any], train: Images, initial: dict[str, Tensor], checkpoints: Checkpoints) -> MethodTraining:
    allowance = task["training"]
    return MethodTraining(
        Recipe.model_validate(allowance["recipe"]),
        allowance["epochs"],
        continuous=allowance["continuous"],
        images=train,
        initial=initial,
        seed=task["seed"],
        memory_format=MEMORY_FORMATS[allowance["memory_format"]],
        checkpoints=checkpoints,
    )


def _checkpoints(config: dict[str, Any], task: dict[str, Any]) -> Checkpoints:
    if task["checkpoints"] is None:
        return Checkpoints()
    return Checkpoints(Path(config["given"]) / CHECKPOINTS, Path(config["output"]))


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


def tensors_of(outcome: object, job: Job, *, trains: bool = False) -> dict[str, Tensor]:
    """The outcome as named tensors; the whole network where the method ``trains`` it.

    Raises:
        InvalidOutcome: for all but a wrong number of kept weights or channels.
    """
    if not isinstance(outcome, Pruned):
        raise InvalidOutcome(
            f"prune() returned {type(outcome).__name__}",
            fix="return a Pruned, e.g. from job.keep_highest or job.keep_channels",
        )
    shapes = {layer.position: tuple(layer.weight.shape) for layer in job.layers()}
    if unknown := [key for key in (*outcome.masks, *outcome.weights) if key not in shapes]:
        raise InvalidOutcome(f"there is no layer {unknown[0]!r}", fix=f"layers are numbered 0 to {len(shapes) - 1}")
    structured = job.speedup is not None
    tensors = _kept_channels(outcome, job) if structured else _kept_weights(outcome, shapes)
    for position, weight in sorted(outcome.weights.items()):
        _checked(weight, shapes[position], f"new weight of layer {position}")
        if not weight.is_floating_point() or not bool(torch.isfinite(weight).all()):
            raise InvalidOutcome(f"the new weight of layer {position} is not all finite real numbers")
        if trains:
            job.layers()[position].weight.copy_(weight)
        else:
            tensors[f"weight.{position}"] = weight.detach().to("cpu", torch.float32).contiguous()
    if trains:
        for index, (name, tensor) in enumerate(floating_state(job.model)):
            if not bool(torch.isfinite(tensor).all()):
                raise InvalidOutcome(f"the trained network holds NaN or infinity (in {name})", fix="the training diverged")
            tensors[f"state.{index}"] = tensor.detach().to("cpu", torch.float32).contiguous()
    return tensors


def _kept_weights(outcome: Pruned, shapes: Mapping[int, tuple[int, ...]]) -> dict[str, Tensor]:
    if outcome.channels:
        raise InvalidOutcome("channels are kept, but the target is no speedup", fix="set division: structured")
    found = {}
    for position, shape in shapes.items():
        mask = _checked(outcome.masks.get(position), shape, f"mask of layer {position}")
        found[f"mask.{position}"] = _mask(mask, f"mask of layer {position}")
    return found


def _kept_channels(outcome: Pruned, job: Job) -> dict[str, Tensor]:
    if outcome.masks:
        raise InvalidOutcome("single weights are masked, but the target is a speedup", fix="use job.keep_channels")
    groups = job.groups()
    if unknown := [key for key in outcome.channels if key not in range(len(groups))]:
        raise InvalidOutcome(f"there is no channel group {unknown[0]!r}", fix=f"they are numbered 0 to {len(groups) - 1}")
    found = {}
    for group in groups:
        what = f"mask of channel group {group.position}"
        found[f"channels.{group.position}"] = _mask(
            _checked(outcome.channels.get(group.position), (group.size,), what), what
        )
    return found


def _mask(mask: Tensor, what: str) -> Tensor:
    if mask.dtype != torch.bool:
        raise InvalidOutcome(f"the {what} is {mask.dtype}", fix="make it boolean: True where kept")
    return mask.detach().to("cpu", torch.uint8).contiguous()


def _checked(value: Tensor | None, shape: tuple[int, ...], what: str) -> Tensor:
    if value is None:
        raise InvalidOutcome(
            f"there is no {what}", fix="give one for every layer of job.layers(), or every group of job.groups()"
        )
    if not isinstance(value, Tensor):
        raise InvalidOutcome(f"the {what} is a {type(value).__name__}, not a tensor")
    if tuple(value.shape) != shape:
        raise InvalidOutcome(f"the {what} has shape {tuple(value.shape)}, but it must be {shape}")
    return value


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(save(dict(tensors)))
