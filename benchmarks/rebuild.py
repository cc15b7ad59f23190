"""Time and memory of the site build from nothing, again without a change, and after one method was measured anew.

`nox -s bench -- rebuild` does the first size, `large` and `huge` the two others.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import measure
from benchmarks.stores import checkout
from evaluator.grid.cells import Track
from evaluator.records import Record, Score, Store
from evaluator.repository import Repository
from tests.site.synthetic import Plan, copy_benchmarks, fill

BUILD = [sys.executable, "-P", "-m", "evaluator", "site", "build", "--output", "public"]
CHANGED = "lamp"


@dataclass(frozen=True)
class Size:
    """Methods on ten benchmarks with five targets, five seeds and two controls."""

    methods: int
    tracks: tuple[Track, ...] = ("one-shot",)
    benchmarks: int = 10
    seeds: int = 5


STANDARD = Size(50)
LARGE = Size(50, ("one-shot", "post-training", "iterative"))
HUGE = Size(222, LARGE.tracks)


def bench(size: Size = STANDARD) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repository = checkout(Path(folder))
        names = copy_benchmarks(repository, size.benchmarks, size.seeds, size.tracks)
        count = fill(repository, Plan(benchmarks=tuple(names), methods=size.methods, tracks=size.tracks[1:]))
        print(f"\nSite build of {count} records, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
        _line("from nothing", repository)
        _line("again", repository)
        measure_anew(repository, CHANGED)
        _line(f"after {CHANGED} was measured anew", repository)


def measure_anew(repository: Repository, slug: str) -> None:
    """Every network of a method answers one image less."""
    store = Store(repository.published)
    store.add([worse(record) for record in store.by(slug) if record.variant == "method"])


def worse(record: Record) -> Record:
    """One image less, measured a little later."""
    after = record.after or record.before
    if after is None:
        return record
    first, *rest = after.class_correct
    lost: Score = after.model_copy(update={"correct": after.correct - 1, "class_correct": [first - 1, *rest]})
    return record.model_copy(update={"after" if record.after else "before": lost, "created": "2026-09-01T12:00:00Z"})


def _line(what: str, repository: Repository) -> None:
    found = measure(BUILD, repository.root)
    print(
        f"  {what:<32}{found.seconds:>8.1f} s, {found.processors:>7.1f} s of processors, {found.memory:>6.0f} MB", flush=True
    )
