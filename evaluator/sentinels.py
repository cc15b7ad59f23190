"""Sentinels: a few cells measured anew tell whether this machine still measures what was published. No PyTorch here.

What a network counts must be what it was, to the last weight. What it gets right may differ by chance alone, as far as the
device allows: by three standard errors of an accuracy on so many test images. They are measured anew before anything that a
runner publishes, and before anything is published from another environment than what was published last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from evaluator.grid import Cell, Grid
from evaluator.records import Environment, Record, Score, Store, stale_reasons
from evaluator.records.changes import moves
from evaluator.records.record import DENSE, is_control

SLUGS = (DENSE, "random", "global-magnitude")
BAND = 3.0
"""Standard errors."""

Wanted = tuple[str, str]
"""A sentinel, and the id of a cell to measure anew."""

Key = tuple[str, str, Cell]
"""Submission, variant, cell."""


def cells(grid: Grid, published: Store, benchmarks: Iterable[str], slugs: Iterable[str]) -> list[Wanted]:
    """What to measure anew: of each benchmark and sentinel one cell, at the middle target, if it is published."""
    found = []
    for benchmark, slug in product(benchmarks, slugs):
        good = [r for r in published.read(benchmark, slug).values() if _is_sentinel(r, grid)]
        targets = sorted({record.target for record in good if isinstance(record.target, float)})
        if targets:
            middle = targets[len(targets) // 2]
            found.append((slug, next(r.cell.id for r in good if r.target == middle)))
    return found


def _is_sentinel(record: Record, grid: Grid) -> bool:
    own = record.variant == ("dense" if record.submission == DENSE else "method")
    usual = record.recipe == grid.recipe_name(record.benchmark, record.track)
    return own and usual and record.status == "ok" and record.division == "unstructured"


def elsewhere(published: Store, benchmark: str, here: Environment) -> list[str]:
    """How this environment differs from that of a benchmark's newest record, in words; empty where it does not."""
    last = max(published.of(benchmark), key=lambda record: record.created, default=None)
    return moves(last.made_in, here) if last is not None else []


def deviations(published: Iterable[Record], measured: Iterable[Record]) -> list[str]:
    """What is not as it was, a line each; empty where this machine may publish.

    A record that rests on another protocol, recipe or base model than today's says nothing about the machine.
    """
    known = _by_key(published)
    return [line for key, record in _by_key(measured).items() if key in known for line in _compare(known[key], record)]


def _by_key(records: Iterable[Record]) -> Mapping[Key, Record]:
    return {(record.submission, record.variant, record.cell): record for record in records}


def _compare(old: Record, new: Record) -> Iterator[str]:
    if stale_reasons(old.inputs, new.inputs, control=is_control(new.variant)):
        return
    name = f"{new.submission} on {new.cell.id}, {new.variant}"
    if new.status != old.status:
        yield f"{name}: {new.status}, it was {old.status}"
        return
    if new.counts != old.counts:
        yield f"{name}: its count of parameters or MACs changed"
    for phase in ("before", "after"):
        was, now = getattr(old, phase), getattr(new, phase)
        if was is not None and now is not None and (error := _beyond(was, now)):
            yield f"{name}, {phase} retraining: {error}"


def _beyond(was: Score, now: Score) -> str | None:
    if was.images != now.images:
        return f"{now.images} test images, there were {was.images}"
    share = was.correct / was.images
    width = BAND * math.sqrt(max(share * (1 - share), 1 / was.images) / was.images)
    if abs(now.correct - was.correct) <= width * was.images:
        return None
    allowed = math.floor(width * was.images)
    return f"{now.correct} of {now.images} right, there were {was.correct}; by chance it may be {allowed} more or less"
