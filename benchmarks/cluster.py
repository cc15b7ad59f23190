"""Dask: the same cells by one worker and by as many as there are cores; wall time, and whether the records are the same."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.processes import measure
from tests.evaluator.figures import figures

SUBMISSIONS = ("global-magnitude", "uniform-magnitude", "random", "erk-magnitude")
"""Four groups of cells that take about as long as each other."""


def bench() -> None:
    cores = os.cpu_count() or 1
    print(f"\nDask on {cores} cores: {len(SUBMISSIONS)} submissions on digits-mlp")
    (alone, expected), (together, found) = (_evaluated(workers) for workers in (1, cores))
    same = "the same records" if figures(expected) == figures(found) else "OTHER RECORDS"
    print(f"  1 worker {alone:.1f} s, {cores} workers {together:.1f} s: {alone / together:.2f} times as fast; {same}")


def _evaluated(workers: int) -> tuple[float, list[dict[str, Any]]]:
    """(wall seconds with the start of the workers, records), pruned and scored from the start."""
    with tempfile.TemporaryDirectory() as folder:
        how = ("--benchmark", "digits-mlp", "--engine", "dask", "--workers", str(workers), "--store", folder, "--force")
        wall = measure([sys.executable, "-m", "evaluator", "evaluate", *SUBMISSIONS, *how], Path.cwd()).seconds
        records = [json.loads(line) for path in Path(folder).glob("*/*.jsonl") for line in path.read_text().splitlines()]
    return wall, records
