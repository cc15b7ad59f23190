"""Images per second of the training engine against the plain loop, in turns, on the whole machine.

One network against one, in the precision of the plain loop and in that of the recipe; then the cells of a submission and
of four submissions, trained together and one by one. With a GPU it is :mod:`benchmarks.gpu` instead.
"""

from __future__ import annotations

import os
import statistics

import torch

from benchmarks import gpu
from benchmarks.loops import images_per_second

IMAGES = {"lenet-300-100": 60_000, "lenet-5-caffe": 16_000, "resnet-20": 2_560}
CELLS = {"lenet-300-100": 6_000, "resnet-20": 256}
"""Images of one epoch where many cells are trained."""
ROUNDS = 5
TOGETHER = 8


def bench() -> None:
    if torch.cuda.is_available():
        gpu.bench()
        return
    cores = os.cpu_count() or 1
    ours, plain = (cores, 1), (1, cores)
    print(f"Training on {cores} cores, in turns: ours, {cores} processes of 1 thread; plain, 1 process of {cores} threads")
    _single(ours, plain)
    _many(ours, plain)


def _single(ours: tuple[int, int], plain: tuple[int, int]) -> None:
    print(f"{'one network':<30}{'ours, images/s':>24}{'plain, images/s':>24}{'ratio':>22}")
    for network, images in IMAGES.items():
        for precision in ("float32", "bfloat16") if network == "resnet-20" else ("float32",):
            pairs = []
            for _ in range(ROUNDS):
                mine = images_per_second("ours", network, *ours, 1, 1, precision, images=images)
                pairs.append((mine, images_per_second("plain", network, *plain, images=images)))
            _line(f"{network}, {precision}", pairs)


def _many(ours: tuple[int, int], plain: tuple[int, int]) -> None:
    """All cells in all; a plain loop takes as long for each of them as for one."""
    print(f"\n{'cells':<30}{'together, images/s':>24}{'one by one, images/s':>24}{'ratio':>22}{'against plain':>16}")
    for network, images in CELLS.items():
        alone = statistics.median(images_per_second("plain", network, *plain, images=images) for _ in range(ROUNDS))
        for cells in (1, 15, 60):
            share = -(-cells // ours[0])
            processes = min(ours[0], cells)
            pairs = []
            for _ in range(ROUNDS if cells < 60 else 1):
                counts = [
                    images_per_second("ours", network, processes, 1, share, together, images=images)
                    for together in (TOGETHER, 1)
                ]
                pairs.append((counts[0], counts[1]))
            best = statistics.median(max(pair) for pair in pairs)
            _line(f"{network}, {cells}", pairs, f"{best / alone:.1f}x")


def _line(name: str, pairs: list[tuple[float, float]], more: str = "") -> None:
    mine, theirs = zip(*pairs, strict=True)
    ratios = [a / b for a, b in pairs]
    print(
        f"{name:<30}{_spread(mine, '.0f'):>24}{_spread(theirs, '.0f'):>24}{_spread(ratios, '.2f'):>22}{more:>16}", flush=True
    )


def _spread(values: list[float] | tuple[float, ...], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"
