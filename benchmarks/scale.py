"""Time and memory of `check`, `plan` and the site build at 100, 1,000 and 10,000 records."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.processes import measure
from benchmarks.stores import checkout
from tests.site.synthetic import Plan, fill

COMMANDS = {"check": ["check"], "plan": ["plan", "--json"], "site build": ["site", "build", "--output", "public"]}
BENCHMARKS = ("mnist-lenet-300-100", "mnist-lenet-5")
RECORDS_A_METHOD = len(BENCHMARKS) * 15 * 3


def bench() -> None:
    print(f"\n{'records':>8}  " + "".join(f"{name:>24}" for name in COMMANDS))
    for wanted in (100, 1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            repository = checkout(root)
            number = fill(repository, Plan(benchmarks=BENCHMARKS, methods=max(1, wanted // RECORDS_A_METHOD)))
            figures = [measure([sys.executable, "-P", "-m", "evaluator", *command], root) for command in COMMANDS.values()]
        print(
            f"{number:>8}  " + "".join(f"{f'{seconds:.2f} s, {memory:.0f} MB':>24}" for seconds, memory, _ in figures),
            flush=True,
        )
