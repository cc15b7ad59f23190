"""Images per second of the training engine against the plain loop, in turns, on the whole machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

IMAGES = {"lenet-300-100": 60_000, "lenet-5-caffe": 16_000, "resnet-20": 2_560}
ROUNDS = 5


def images_per_second(form: str, network: str, processes: int, threads: int) -> float:
    """Of so many processes at a time, in all."""
    command = [sys.executable, "-m", "benchmarks.loops", form, network, str(IMAGES[network]), str(threads)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in running)


def bench() -> None:
    cores = os.cpu_count() or 1
    print(f"Training, float32, in turns: ours, {cores} processes of 1 thread; plain, 1 process of {cores} threads")
    print(f"{'network':<16}{'ours, images/s':>24}{'plain, images/s':>24}{'ratio':>26}")
    for network in IMAGES:
        pairs = [
            (images_per_second("ours", network, cores, 1), images_per_second("plain", network, 1, cores))
            for _ in range(ROUNDS)
        ]
        mine, theirs = zip(*pairs, strict=True)
        ratios = [a / b for a, b in pairs]
        print(f"{network:<16}{_spread(mine, '.0f'):>24}{_spread(theirs, '.0f'):>24}{_spread(ratios, '.2f'):>26}", flush=True)


def _spread(values: list[float] | tuple[float, ...], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"
