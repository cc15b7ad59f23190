"""How long a forward pass takes, on the network as it would be used."""

from __future__ import annotations

import copy
import statistics
import time

import torch
from torch import Tensor, nn

from evaluator.device import finish
from evaluator.records import Latency

BATCHES = {1: 50, 128: 10}
"""Batch size -> how many runs are timed."""
WARM_UP = 3


def measure_latency(
    model: nn.Module, shape: tuple[int, int, int], device: torch.device, memory_format: torch.memory_format
) -> list[Latency]:
    """In float32, on ``device``, where the model is; where that is a GPU, on the processor as well."""
    found = time_passes(model, shape, memory_format)
    return found if device.type == "cpu" else [*found, *time_passes(copy.deepcopy(model).cpu(), shape, memory_format)]


def time_passes(
    model: nn.Module, shape: tuple[int, int, int], memory_format: torch.memory_format, *, sparse_layers: int = 0
) -> list[Latency]:
    """Median and quartiles over single runs, each waited for, where the model is and in its precision; values do not matter.

    Args:
        sparse_layers: how many of the model's layers run by kernels for 2:4 sparsity.
    """
    weight = next(model.eval().parameters())
    device = weight.device
    there = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": 1 if device.type == "cuda" else torch.get_num_threads(),
        "dtype": str(weight.dtype).removeprefix("torch."),
        "sparse_layers": sparse_layers,
    }
    found = []
    for batch, runs in BATCHES.items():
        inputs = torch.zeros(batch, *shape, device=device, dtype=weight.dtype).to(memory_format=memory_format)
        lower, median, upper = statistics.quantiles(_times(model, inputs, runs), n=4)
        quartiles = (round(lower, 4), round(upper, 4))
        found.append(Latency(**there, batch=batch, median_ms=round(median, 4), quartiles_ms=quartiles, runs=runs))
    return found


def _times(model: nn.Module, inputs: Tensor, runs: int) -> list[float]:
    """Milliseconds of each run, after a few that do not count."""
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP + runs):
            started = time.perf_counter()
            model(inputs)
            finish(inputs.device)
            times.append(1000 * (time.perf_counter() - started))
    return times[WARM_UP:]
