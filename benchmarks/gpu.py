"""The training engine on a GPU: networks side by side in one captured graph, against step by step and the plain loop.

All in one process, since starting PyTorch takes longer than what is to be measured; the plain loop, which sets nothing up
as the evaluator does, has one of its own. Captures are timed apart: a training makes two, and replays them for minutes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.loops import NETWORKS, images_per_second, made_up, masks_of
from evaluator.device import finish, set_up
from evaluator.grid import Recipe
from evaluator.networks import architecture
from evaluator.scoring import measure
from evaluator.training import MEMORY_FORMATS, Step, Trainee, batches, in_turn, stepper, stream

SIDE_BY_SIDE = {"resnet-20": (1, 2, 4, 8, 16), "resnet-56": (1, 8), "vgg-16-bn": (1, 8), "lenet-300-100": (1, 8, 16)}
STEPS, STEPS_IN_TURN = 100, 20
ROUNDS = 3
PLAIN_IMAGES = {"resnet-20": 12_800, "lenet-300-100": 60_000}
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
    columns = ("network, side by side", "ms a step", "images/s", "of one each", "capture, s", "MB", "in turn", "plain loop")
    print(f"{columns[0]:<26}" + "".join(f"{name:>14}" for name in columns[1:]))
    for network, numbers in SIDE_BY_SIDE.items():
        images = PLAIN_IMAGES.get(network)
        plain = images_per_second("plain", network, 1, 4, images=images) if images else None
        for number in numbers:
            line, rate = _line(network, number, plain, device)
            print(line, flush=True)
            if network == "resnet-20":
                minutes = CELLS * EPOCHS * IMAGES / rate / 60
                print(f"{'':<26}{CELLS} cells of {EPOCHS} epochs: {minutes:.0f} minutes of training", flush=True)
    for network in ("resnet-20", "vgg-16-bn"):
        print(f"{network}: scoring 10,000 images in float32 takes {_scoring(network, device):.3f} s", flush=True)


def _line(network: str, number: int, plain: float | None, device: torch.device) -> tuple[str, float]:
    """A line of the table, and images per second of all networks together."""
    captured = speed(network, number, device)
    one_by_one = speed(network, number, device, capture=False)
    rate = number * 128 / captured.step
    against = "" if plain is None else f"{rate / plain:.1f}x"
    cells = (
        *(f"{1000 * captured.step:.2f}", f"{rate:.0f}", f"{rate / number:.0f}", f"{captured.first:.2f}"),
        *(f"{captured.memory:.0f}", f"{one_by_one.step / captured.step:.1f}x", against),
    )
    return f"{f'{network}, {number}':<26}" + "".join(f"{cell:>14}" for cell in cells), rate


def speed(network: str, number: int, device: torch.device, *, capture: bool = True, steps: int = STEPS) -> Speed:
    """Of ``number`` networks, by captured steps or each in its turn."""
    kind = architecture(network)
    memory_format, augment = NETWORKS[network]
    form = MEMORY_FORMATS[memory_format]
    precision = "bfloat16" if augment == "flip-crop" else "float32"
    recipe = Recipe(title="", lr=0.01, epochs=1, augment=augment, precision=precision)  # type: ignore[arg-type]
    models = [kind.build().to(device) for _ in range(number)]
    trainees = [Trainee(model, recipe, masks=masks_of(model, kind), memory_format=form) for model in models]
    advance = stepper(trainees) if capture else in_turn(trainees)
    steps = steps if capture else min(steps, STEPS_IN_TURN)
    images = made_up(128 * steps, kind.shape).to(device)

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


def _scoring(network: str, device: torch.device) -> float:
    kind = architecture(network)
    form = MEMORY_FORMATS[NETWORKS[network][0]]
    model, images = kind.build().to(device).to(memory_format=form), made_up(10_000, kind.shape).to(device)
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        measure(model, images, 10, 250, form)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
