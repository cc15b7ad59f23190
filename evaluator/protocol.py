"""Which sources decide the figures, pinned in the grid, so that nobody changes one without deciding about the version.

After a change to one of them: raise the part's version in ``evaluator/grid/protocol.yaml`` if a figure could differ (its
records then become stale and say so), and run ``python -m evaluator.protocol`` to pin the sources anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evaluator.canonical import digest, digest_file, write_atomically

_NETWORKS = tuple(f"networks/{name}.py" for name in ("__init__", "imagenet", "lenet", "resnet", "vgg", "vit"))
_CHANNELS = tuple(f"channels/{name}.py" for name in ("costs", "discovery", "groups", "solving", "surgery"))
_DATA = tuple(f"data/{name}.py" for name in ("decode", "images", "listing", "prepare", "sources", "splits", "streamed"))
_TRAINING = ("training.py", "optimizer.py", "fused.py", "graphs.py", "canonical.py")
_BASES = ("bases.py", "base_files.py", "published.py", "device.py", "counting.py")
_ALL = (*_NETWORKS, *_CHANNELS, *_DATA, *_TRAINING, *_BASES)

SOURCES: dict[str, tuple[str, ...]] = {
    "prune": (
        "outcome.py",
        "job.py",
        "layers.py",
        "method_training.py",
        "observation.py",
        "sandbox/task.py",
        "scores.py",
        "selection.py",
        *_ALL,
    ),
    "scoring": ("admission.py", "evaluation.py", "latency.py", "scorer.py", "scoring.py", "sparse_kernels.py", *_ALL),
    "controls": ("controls.py", "selection.py", "canonical.py", *_CHANNELS),
}
"""Part of the protocol (its version is ``<part>_version``) -> files of the package ``evaluator``."""

PACKAGE = Path(__file__).parent


CONSTANTS = "constants of the grid"
_READ = ("datasets", "architectures", "benchmarks", "targets", "protocol")


def sources() -> dict[str, dict[str, str]]:
    """SHA-256 of each source as it is now, by part; among them the constants of the grid that are in no key."""
    found = {part: {name: digest_file(PACKAGE / name) for name in sorted(names)} for part, names in SOURCES.items()}
    constants = _constants()
    found["prune"][CONSTANTS] = digest(constants["datasets"])
    found["scoring"][CONSTANTS] = digest(constants)
    return found


def _constants() -> dict[str, Any]:
    """How pixels become numbers, how networks are trained together and tested, and how far a target may be missed."""
    grid = PACKAGE / "grid"
    read = {name: yaml.safe_load((grid / f"{name}.yaml").read_text()) for name in _READ}
    chosen = {
        "datasets": ("mean", "std", "maximum"),
        "architectures": ("memory_format", "together", "gpu_form"),
        "benchmarks": ("recalibration_batches", "evaluation_batch"),
        "targets": ("tolerance",),
    }
    found = {
        part: {name: {key: entry[key] for key in keys if key in entry} for name, entry in read[part].items()}
        for part, keys in chosen.items()
    }
    own = ("evaluation_batch", "recalibration_batches", "recalibration_batch")
    return {**found, "protocol": {key: read["protocol"][key] for key in own}}


def pin(path: Path) -> None:
    """Write the digests of now into ``protocol.yaml``."""
    head, _, _ = path.read_text(encoding="utf-8").partition("files:")
    write_atomically(path, (head + yaml.safe_dump({"files": sources()})).encode())


if __name__ == "__main__":
    pin(PACKAGE / "grid" / "protocol.yaml")
