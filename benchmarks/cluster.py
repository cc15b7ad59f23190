"""Dask: the same cells by one worker and by three.

The wall time of three workers is a third of one's where each has a core, and whatever it has to be where they share fewer.
So it is printed with what it is made of: seconds in tasks and processor seconds of every worker, and the seconds of the
whole run in which no worker had a task. From these follows the wall time on three cores that nobody else uses: that of
the worker with the most processor seconds, and the seconds without a task. That is derived, and called so.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import measure
from tests.evaluator.figures import figures

WORKERS = 3
SUBMISSIONS = ("global-magnitude", "uniform-magnitude", "random", "erk-magnitude", "lamp", "layer-gradient")
"""With two benchmarks four groups of cells for each worker, which take about as long as each other."""


@dataclass(frozen=True)
class Run:
    """An evaluation by workers that were there before.

    Args:
        wall: seconds, with the start of the command and the writing of records.
        outside: seconds of them in which no worker had a task.
        tasks: seconds in tasks, by worker.
        used: processor seconds in that time, by worker, with those of its sandboxes and scorers.
    """

    wall: float
    outside: float
    tasks: list[float]
    used: list[float]
    records: list[dict[str, Any]]

    @property
    def independent(self) -> float:
        """Wall seconds if every worker had a core of its own."""
        return self.outside + max(self.used)

    def tell(self) -> None:
        idle = len(self.tasks) * self.wall - sum(self.tasks)
        name = f"{len(self.tasks)} worker{'s' if len(self.tasks) > 1 else ' '}"
        print(f"  {name} {self.wall:6.1f} s wall, {self.outside:.1f} s of them without a task")
        print(f"    in tasks            {_listed(self.tasks)} s; not in tasks (wall x workers - these): {idle:.1f} s")
        print(f"    processor seconds   {_listed(self.used)}; in all {sum(self.used):.1f}")


def bench() -> None:
    cores = os.cpu_count() or 1
    busy = os.getloadavg()[0]
    print(f"\nDask: {len(SUBMISSIONS)} submissions on the smoke tier; {cores} cores, {busy:.1f} of them busy before")
    alone, together = _evaluated(1), _evaluated(WORKERS)
    for run in (alone, together):
        run.tell()
    same = "the same records" if figures(alone.records) == figures(together.records) else "OTHER RECORDS"
    print(f"  measured here: {together.wall / alone.wall:.2f} of one worker's wall time; {same}")
    share = max(together.used) / sum(alone.used)
    more = sum(together.used) / sum(alone.used)
    print(f"  the busiest of {WORKERS} uses {share:.2f} of one worker's processor seconds, all together {more:.2f}")
    derived = together.independent / alone.independent
    print(f"  derived, for {WORKERS} cores that nobody else uses: {derived:.2f} of one worker's wall time")
    if cores < WORKERS:
        print(f"  ({WORKERS} workers on {cores} cores cannot come below {1 / cores:.2f} here)")


def _evaluated(workers: int) -> Run:
    """Pruned and scored from the start."""
    distributed = importlib.import_module("distributed")
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with (
        tempfile.TemporaryDirectory() as folder,
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = client.run(_used)
        with distributed.get_task_stream(client) as stream:
            how = ("--tier", "smoke", "--engine", "dask", "--workers", str(workers), "--store", folder, "--force")
            command = ("evaluate", *SUBMISSIONS, *how, "--scheduler", cluster.scheduler_address)
            wall = measure([sys.executable, "-m", "evaluator", *command], Path.cwd()).seconds
        used = {worker: seconds - before[worker] for worker, seconds in client.run(_used).items()}
        spans = {worker: _spans(stream.data, worker) for worker in used}
        records = [json.loads(line) for path in Path(folder).glob("*/*.jsonl") for line in path.read_text().splitlines()]
    tasks = [sum(end - start for start, end in spans[worker]) for worker in used]
    return Run(wall, wall - _covered(span for some in spans.values() for span in some), tasks, list(used.values()), records)


def _used() -> float:
    """Processor seconds of this process and of all that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _spans(tasks: Iterable[dict[str, Any]], worker: str) -> list[tuple[float, float]]:
    """From when to when a worker was at work on its tasks."""
    steps = [step for task in tasks if task["worker"] == worker for step in task["startstops"]]
    return [(step["start"], step["stop"]) for step in steps if step["action"] == "compute"]


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in at least one of the spans."""
    seconds, until = 0.0, 0.0
    for start, end in sorted(spans):
        seconds += max(end - max(start, until), 0.0)
        until = max(until, end)
    return seconds


def _listed(seconds: list[float]) -> str:
    return " + ".join(f"{one:.1f}" for one in seconds)
