"""What the forms of training rest on: a wide network gives each network its gradients, a replayed step the usual weights."""

from __future__ import annotations

import time

import torch

from benchmarks.gpu import head, row, side_by_side
from benchmarks.loops import made_up
from evaluator.device import finish
from evaluator.fused import Fused, fuse
from evaluator.networks import architecture
from evaluator.training import Capture, batches, stream, train_together

DENSITIES = (1.0, 1 / 4, 1 / 16, 1 / 64)
NETWORK = "resnet-20"


def bench(device: torch.device) -> None:
    head("gradients, wide and alone", "density", "least", "most")
    for density in DENSITIES:
        gradients(NETWORK, 10, device, density)
    head("a method's training", "steps", "one by one, s", "replayed, s", "off")
    replayed(NETWORK, device)


def gradients(network: str, number: int, device: torch.device, density: float) -> None:
    """How far those of one batch are from each other, of their length: of the nearest and of the farthest network."""
    torch.manual_seed(0)
    (wide,) = fuse(side_by_side(network, number, device, density))
    assert isinstance(wide, Fused)
    images = made_up(wide.recipe.batch, architecture(network).shape).to(device)
    apart = wide.from_alone(*next(batches(images, wide.recipe, stream(0), wide.memory_format)))
    row(f"{network}, {number}", f"{density:g}", f"{float(apart.min()):.4f}", f"{float(apart.max()):.4f}")


def replayed(network: str, device: torch.device, steps: int = 300) -> None:
    """One network by the recipe, as a method trains it: seconds, the capture included, and the largest difference."""
    taken, ends = [], []
    ways: tuple[Capture, ...] = ("never", "if it can be")
    for way in ways:
        for measured in (False, True):  # the first time kernels are loaded
            torch.manual_seed(0)
            (trainee,) = side_by_side(network, 1, device)
            images = made_up(trainee.recipe.batch * (steps if measured else 2), architecture(network).shape).to(device)
            finish(device)
            started = time.perf_counter()
            train_together([trainee], images, trainee.recipe, seed=0, capture=way)
            finish(device)
        taken.append(f"{time.perf_counter() - started:.2f}")
        ends.append(torch.cat([value.detach().double().flatten() for value in trainee.model.state_dict().values()]))
    row(network, str(steps), *taken, f"{float((ends[0] - ends[1]).abs().max()):.1e}")
