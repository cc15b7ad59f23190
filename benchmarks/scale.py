"""Time and memory of `check`, `plan` and the site build at 100, 1,000 and 10,000 records."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.site.synthetic import Plan, fill, make_repository

ROOT = Path(__file__).parents[1]
COMMANDS = {"check": ["check"], "plan": ["plan", "--json"], "site build": ["site", "build", "--output", "public"]}
BENCHMARKS = ("mnist-lenet-300-100", "mnist-lenet-5")
RECORDS_A_METHOD = len(BENCHMARKS) * 15 * 3


def bench() -> None:
    print(f"\n{'records':>8}  " + "".join(f"{name:>24}" for name in COMMANDS))
    for wanted in (100, 1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            repository = make_repository(root)
            repository.cache.unlink()  # no chart is kept from before
            for name in ("bases", "site", "templates"):
                (root / name).symlink_to(ROOT / name)
            number = fill(repository, Plan(benchmarks=BENCHMARKS, methods=max(1, wanted // RECORDS_A_METHOD)))
            figures = [measure([sys.executable, "-P", "-m", "evaluator", *command], root) for command in COMMANDS.values()]
        print(
            f"{number:>8}  " + "".join(f"{f'{seconds:.2f} s, {memory:.0f} MB':>24}" for seconds, memory in figures),
            flush=True,
        )


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """(wall seconds, peak memory in MB) of a command."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024); sys.exit(done.returncode)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, float(done.stdout)
