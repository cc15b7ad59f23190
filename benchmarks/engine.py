"""Images per second of the training engine against the plain loop, in turns, on the whole machine.

One network against one, in the precision of the plain loop and in that of the recipe. Then the cells of a submission and of
four submissions: in as many processes as there are cores, in one process, and by the plain loop. Then the other forms that
training in one process could have. With a GPU it is :mod:`benchmarks.gpu` and :mod:`benchmarks.forms` instead.

On a CPU the evaluator trains one network at a time in each process (`evaluator.device.cohort_size`), on one thread, in as
many processes as there are cores, since that gains nearly as many times as there are cores, for every network. Networks that
take turns on the same batches save only the making of these. MLPs fused into one gain more, but with other last bits than
each would have alone: what a CPU trains is the same to the bit in whatever company, and stays so.
"""

from __future__ import annotations

import os
import statistics

import torch

from benchmarks import forms, gpu
from benchmarks.loops import TOGETHER, images_per_second

IMAGES = {"lenet-300-100": 60_000, "lenet-5-caffe": 16_000, "resnet-20": 2_560}
CELLS = {"lenet-300-100": 6_000, "resnet-20": 256}
"""Images of one epoch where many cells are trained."""
PRECISION = {"lenet-300-100": "float32", "resnet-20": "bfloat16"}
"""Of the recipes by which they are retrained."""
NUMBERS = (1, 15, 60)
ROUNDS = 5
FORMS = (("lenet-300-100", "float32"), ("lenet-300-100", "bfloat16"), ("resnet-20", "bfloat16"))


def bench() -> None:
    if torch.cuda.is_available():
        gpu.bench()
        forms.bench()
        return
    cores = os.cpu_count() or 1
    print(f"Training on {cores} cores, in turns: ours, {cores} processes of 1 thread; plain, 1 process of {cores} threads")
    _single(cores)
    _many(cores)
    _forms(cores)


def _single(cores: int) -> None:
    _head("one network", "ours", "plain")
    for network, images in IMAGES.items():
        for precision in ("float32", "bfloat16") if network == "resnet-20" else ("float32",):
            pairs = []
            for _ in range(ROUNDS):
                mine = images_per_second("ours", network, cores, 1, 1, 1, precision, images=images)
                pairs.append((mine, _plain(network, cores, images)))
            _line(f"{network}, {precision}", pairs)


def _many(cores: int) -> None:
    """All cells in all; a plain loop takes as long for each of them as for one."""
    _head("cells, one at a time a process", f"{cores} processes", "1 process", "of one each", "against plain")
    for network, images in CELLS.items():
        plain = statistics.median(_plain(network, cores, images) for _ in range(ROUNDS))
        for cells in NUMBERS:
            processes, share = min(cores, cells), -(-cells // cores)
            alike = (1, share, 1, PRECISION[network])
            pairs = []
            for _ in range(ROUNDS if cells < max(NUMBERS) else 1):
                mine = images_per_second("ours", network, processes, *alike, images=images)
                pairs.append((mine, images_per_second("ours", network, 1, *alike, images=images)))
            rate = statistics.median(mine for mine, _ in pairs)
            _line(f"{network}, {PRECISION[network]}, {cells}", pairs, f"{rate / cells:.0f}", f"{rate / plain:.1f}x")
    print(f"The evaluator's form on a CPU: the first, {cores} processes, each of one network and one thread at a time.")


def _forms(cores: int) -> None:
    """Of what one process has to train; all in as many processes as there are cores."""
    _head(f"{TOGETHER} networks a process", "same batches, in turn", "one by one")
    for network, precision in FORMS:
        _line(f"{network}, {precision}", _pairs(cores, network, precision, ("ours", TOGETHER), ("ours", 1)))
    _head(f"{TOGETHER} networks a process", "fused", "same batches, in turn")
    for network, precision in FORMS[:2]:
        _line(f"{network}, {precision}", _pairs(cores, network, precision, ("fused", TOGETHER), ("ours", TOGETHER)))
    print("The evaluator's form on a CPU: one by one, MLPs in float32. A form with a ratio above 1 to it would be faster.")


def _pairs(
    cores: int, network: str, precision: str, mine: tuple[str, int], theirs: tuple[str, int]
) -> list[tuple[float, float]]:
    def rate(form: str, together: int) -> float:
        return images_per_second(form, network, cores, 1, TOGETHER, together, precision, images=CELLS[network])

    return [(rate(*mine), rate(*theirs)) for _ in range(ROUNDS)]


def _plain(network: str, cores: int, images: int) -> float:
    return images_per_second("plain", network, 1, cores, images=images)


def _head(what: str, mine: str, theirs: str, *more: str) -> None:
    columns = f"{f'{mine}, images/s':>32}{f'{theirs}, images/s':>32}{'ratio':>22}"
    print(f"\n{what:<32}{columns}" + "".join(f"{name:>16}" for name in more))


def _line(name: str, pairs: list[tuple[float, float]], *more: str) -> None:
    mine, theirs = zip(*pairs, strict=True)
    ratios = [a / b for a, b in pairs]
    columns = f"{_spread(mine, '.0f'):>32}{_spread(theirs, '.0f'):>32}{_spread(ratios, '.2f'):>22}"
    print(f"{name:<32}{columns}" + "".join(f"{value:>16}" for value in more), flush=True)


def _spread(values: list[float] | tuple[float, ...], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"
