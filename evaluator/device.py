"""The device on which a process measures, set up so that the same cell gives the same figures."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from evaluator import machine


def set_up(name: str = "auto") -> torch.device:
    """Choose ``cpu`` or ``cuda`` and make its arithmetic repeatable.

    One thread a process: figures then do not depend on the number of cores, and a machine is filled by processes.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    repeatable()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def repeatable() -> None:
    """The same figures from the same cell; float32 means float32, on a GPU too, where convolutions would round to TF32."""
    # the public function also sets an option of torch.compile, and for that imports it: a second, for every task
    torch._C._set_deterministic_algorithms(True)
    # it would also fill every new tensor, which costs time and changes nothing: nothing here reads one before writing it
    torch._C._set_deterministic_fill_uninitialized_memory(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
    # convolutions have a setting of their own, which the one above need not reach
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    # fused kernels of attention have no second derivative, and not all of them add up in the same order twice
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


def finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cohort_size(device: torch.device, together: int) -> int:
    """How many networks are trained side by side in one process; ``together`` is what the grid allows on a GPU."""
    return together if device.type == "cuda" else 1


def environment(device: torch.device) -> dict[str, str | None]:
    """Where this process measures, as a record holds it (but for the sandbox)."""
    return machine.environment() | (_graphics(device) if device.type == "cuda" else {})


def _graphics(device: torch.device) -> dict[str, str | None]:
    name = torch.cuda.get_device_name(device)
    return {
        "device_class": name.lower().replace(" ", "-"),
        "device": name,
        "cuda": torch.version.cuda,
        "driver": _driver_version(),
    }


def _driver_version() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip()
    except OSError:
        return None


if __name__ == "__main__":
    chosen = set_up(sys.argv[1])
    gpus = torch.cuda.device_count() if chosen.type == "cuda" else 0
    sys.stdout.write(json.dumps({"device": chosen.type, "gpus": gpus, "environment": environment(chosen)}))
