"""How long a forward pass takes, on the network as it would be used: smaller where channels were removed."""

from __future__ import annotations

import copy
import statistics
import time

import torch
from torch import nn

from evaluator.device import finish
from evaluator.records import Latency

BATCHES = {1: 50, 128: 10}
"""Batch size -> how many runs are timed."""
WARM_UP = 3


def measure_latency(
    model: nn.Module, shape: tuple[int, int, int], device: torch.device, memory_format: torch.memory_format
) -> list[Latency]:
    """Median and quartiles over single runs in float32, each waited for; the model's weights do not matter.

    On ``device``, where the model is; where that is a GPU, on the processor as well.
    """
    places = {device: model.eval()}
    if device.type != "cpu":
        places[torch.device("cpu")] = copy.deepcopy(model).cpu()
    return [
        _measure(there, shape, place, memory_format, batch, runs)
        for place, there in places.items()
        for batch, runs in BATCHES.items()
    ]


def _measure(
    model: nn.Module,
    shape: tuple[int, int, int],
    device: torch.device,
    memory_format: torch.memory_format,
    batch: int,
    runs: int,
) -> Latency:
    inputs = torch.zeros(batch, *shape, device=device).to(memory_format=memory_format)
    times = []
    with torch.inference_mode():
        for number in range(WARM_UP + runs):
            started = time.perf_counter()
            model(inputs)
            finish(device)
            if number >= WARM_UP:
                times.append(1000 * (time.perf_counter() - started))
    lower, median, upper = statistics.quantiles(times, n=4)
    return Latency(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        threads=1 if device.type == "cuda" else torch.get_num_threads(),
        batch=batch,
        dtype="float32",
        median_ms=round(median, 4),
        quartiles_ms=(round(lower, 4), round(upper, 4)),
        runs=runs,
    )
