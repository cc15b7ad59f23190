"""The training engine on a GPU: networks side by side in one captured graph, against step by step and the plain loop.

All in one process, since starting PyTorch takes longer than what is to be measured; the plain loop, which sets nothing up
as the evaluator does, has one of its own. Captures are timed apart: a training makes two, and replays them for minutes.

On a GPU the evaluator trains as many networks side by side as the grid allows, in the form that the grid has for them, in
one captured graph; cells beyond that form further cohorts, one after another. What each form takes is
:mod:`benchmarks.forms`'s to show.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.loops import NETWORKS, images_per_second, made_up, masks_of, recipe_of
from evaluator import grid
from evaluator.device import finish, set_up
from evaluator.fused import COMPILER, in_form
from evaluator.grid.schema import GpuForm
from evaluator.networks import architecture
from evaluator.training import MEMORY_FORMATS, Step, Trainee, batches, in_turn, stepper, stream

ARCHITECTURES = grid.load_grid(Path(grid.__file__).parent).architectures
SIDE_BY_SIDE = {"resnet-20": (1, 2, 4, 8, 16), "resnet-56": (1, 8), "vgg-16-bn": (1, 8), "lenet-300-100": (1, 8, 16)}
STEPS, STEPS_IN_TURN = 100, 20
ROUNDS = 3
PLAIN_IMAGES = {"resnet-20": 12_800, "lenet-300-100": 60_000}
NUMBERS = (1, 15, 60)
"""Cells of one network, of a submission, and of four."""
CELLS, EPOCHS, IMAGES = 450, 30, 45_000
"""Of the methods on CIFAR-10 / ResNet-20, retrained: how long would it take?"""


class Speed(NamedTuple):
    """Of networks side by side: seconds of a step, seconds before the first one is over, and peak memory in MB."""

    step: float
    first: float
    memory: float


def bench() -> None:
    device = set_up("cuda")
    print(f"Training on {torch.cuda.get_device_name()}, torch {torch.__version__}, batches of 128")
    plain = {network: images_per_second("plain", network, 1, 4, images=images) for network, images in PLAIN_IMAGES.items()}
    head("network, side by side", "ms a step", "images/s", "of one each", "capture, s", "MB", "in turn", "plain loop")
    for network, numbers in SIDE_BY_SIDE.items():
        for number in numbers:
            rate = _line(network, number, plain.get(network), device)
            if network == "resnet-20":
                minutes = CELLS * EPOCHS * IMAGES / rate / 60
                print(f"{'':<26}{CELLS} cells of {EPOCHS} epochs: {minutes:.0f} minutes of training", flush=True)
    head("cells", "cohorts", "images/s", "of one each", "one by one", "plain loop")
    for network, alone in plain.items():
        _cells(network, alone, device)


def head(first: str, *others: str) -> None:
    print(f"\n{first:<26}" + "".join(f"{name:>14}" for name in others))


def row(first: str, *others: str) -> None:
    print(f"{first:<26}" + "".join(f"{cell:>14}" for cell in others), flush=True)


def _line(network: str, number: int, plain: float | None, device: torch.device) -> float:
    """A line of the first table; returns images per second of all networks together."""
    captured = speed(network, as_in_the_grid(network, number, device), device)
    one_by_one = speed(network, side_by_side(network, number, device), device, capture=False)
    rate = number * 128 / captured.step
    gain = one_by_one.step / captured.step
    row(
        f"{network}, {number}",
        *(f"{1000 * captured.step:.2f}", f"{rate:.0f}", f"{rate / number:.0f}", f"{captured.first:.2f}"),
        *(f"{captured.memory:.0f}", f"{gain:.1f}x", "" if plain is None else f"{rate / plain:.1f}x"),
    )
    return rate


def _cells(network: str, plain: float, device: torch.device, steps: int = STEPS) -> None:
    """Cohorts one after another, against as many cohorts of one network and against a plain loop for each cell."""
    step: dict[int, float] = {}
    for cells in NUMBERS:
        most = ARCHITECTURES[network].together
        cohorts = [min(most, cells - done) for done in range(0, cells, most)]
        for size in {1, *cohorts} - step.keys():
            step[size] = speed(network, as_in_the_grid(network, size, device), device, steps=steps).step
        taken = sum(step[size] for size in cohorts)
        rate = cells * 128 / taken
        numbers = f"{len(cohorts)}", f"{rate:.0f}", f"{rate / cells:.0f}"
        row(f"{network}, {cells}", *numbers, f"{cells * step[1] / taken:.1f}x", f"{rate / plain:.1f}x")


def as_in_the_grid(network: str, number: int, device: torch.device) -> Sequence[Trainee]:
    return together(network, number, device, ARCHITECTURES[network].gpu_form)


def together(network: str, number: int, device: torch.device, form: GpuForm, compiler: str = COMPILER) -> Sequence[Trainee]:
    """So many pruned networks in a form."""
    trainees = side_by_side(network, number, device)
    images = made_up(trainees[0].recipe.batch, architecture(network).shape).to(device)
    recipe, layout = trainees[0].recipe, trainees[0].memory_format
    return in_form(form, trainees, lambda: next(batches(images, recipe, stream(0), layout)), compiler)


def side_by_side(network: str, number: int, device: torch.device, density: float = 0.25) -> list[Trainee]:
    """So many pruned networks, in the precision of their recipe."""
    kind, (memory_format, augment) = architecture(network), NETWORKS[network]
    recipe = recipe_of(network, "bfloat16" if augment == "flip-crop" else "float32")
    models = [kind.build().to(device) for _ in range(number)]
    return [
        Trainee(model, recipe, masks=masks_of(model, kind, density), memory_format=MEMORY_FORMATS[memory_format])
        for model in models
    ]


def speed(
    network: str, trainees: Sequence[Trainee], device: torch.device, *, capture: bool = True, steps: int = STEPS
) -> Speed:
    """Of networks side by side, by captured steps or each in its turn."""
    recipe, form = trainees[0].recipe, trainees[0].memory_format
    advance = stepper(trainees) if capture else in_turn(trainees)
    steps = steps if capture else min(steps, STEPS_IN_TURN)
    images = made_up(128 * steps, architecture(network).shape).to(device)

    def run(pairs: Iterator[tuple[Tensor, Tensor]], most: int) -> float:
        finish(device)
        started = time.perf_counter()
        for step, (inputs, labels) in zip(range(most), pairs, strict=False):
            for trainee in trainees:
                trainee.pace(0.01)
            advance(inputs, labels, Step(step, steps, 0.01))
        finish(device)
        return time.perf_counter() - started

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    first = run(batches(images, recipe, stream(0), form), 1)
    taken = [run(batches(images, recipe, stream(number), form), steps) / steps for number in range(ROUNDS)]
    memory = torch.cuda.max_memory_reserved() / 1e6 if device.type == "cuda" else 0
    return Speed(statistics.median(taken), first, memory)
