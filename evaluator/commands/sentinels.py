"""`espalier sentinels`: does this machine still measure what was published?"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evaluator.commands.options import Benchmarks, Json, Key, Root, Tier, Walls, published_store, select
from evaluator.errors import EspalierError, UsageError
from evaluator.grid import Grid
from evaluator.launch import import_path
from evaluator.plan import Plan
from evaluator.records import Environment, Record, Store
from evaluator.records.acceptance import Acceptance, accept, accepted
from evaluator.records.changes import place
from evaluator.records.record import DENSE
from evaluator.repository import Repository
from evaluator.sandbox.confine import leave_with_parent
from evaluator.sentinels import SLUGS, Wanted, cells, deviations, elsewhere
from evaluator.setting import Setting
from evaluator.terminal import err, out, print_json, safe

ACCEPT = "find out why; if the machine is right all the same, `espalier sentinels --accept 'WHY'` publishes, and says so"


@dataclass(frozen=True)
class Look:
    """What was measured anew, how it deviates, and what of that a maintainer has accepted."""

    cells: list[str]
    records: list[Record]
    deviations: list[tuple[Environment, str]]
    accepted: list[str]


def sentinels(
    tier: Tier = None,
    benchmark: Benchmarks = None,
    accept_because: Annotated[
        str | None, typer.Option("--accept", metavar="WHY", help="publish although they deviate; WHY is published too")
    ] = None,
    sign_with: Key = None,
    sandbox: Walls = "auto",
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Measure dense, random and global magnitude anew, a cell each, and compare with what is published."""
    if accept_because is not None and not accept_because.strip():
        raise UsageError("there is no reason in --accept", fix="say why this machine is right")
    selected = select(root, None, tier, benchmark)
    chosen = selected.selection.benchmarks or selected.grid.benchmarks
    benchmarks = [name for name in selected.grid.benchmarks if name in chosen]
    found = look(selected.repository, selected.grid, benchmarks, f"--sandbox={sandbox}")
    if found.deviations and accept_because is not None:
        _accept(selected.repository, found, " ".join(accept_because.split()), sign_with)
        found = Look(found.cells, found.records, [], [*found.accepted, *(line for _, line in found.deviations)])
    if as_json:
        print_json({"ok": not found.deviations, "cells": found.cells, "records": len(found.records),
                    "environments": sorted({place(record.environment) for record in found.records}),
                    "deviations": [line for _, line in found.deviations], "accepted": found.accepted})  # fmt: skip
    else:
        _tell(found, out)
    if found.deviations:
        raise typer.Exit(1)


def look(repository: Repository, grid: Grid, benchmarks: Sequence[str], *how: str) -> Look:
    """Measure the sentinels of some benchmarks, as far as they are published, and compare.

    Args:
        how: options of `espalier evaluate`.

    Raises:
        EspalierError: they could not be measured.
    """
    published = Store(repository.published)
    there = [slug for slug in SLUGS if slug == DENSE or (repository.submissions / slug).is_dir()]
    wanted = cells(grid, published, benchmarks, there)
    measured = _measure(repository, grid, wanted, how)
    found = Look([cell for _, cell in wanted], measured, [], [])
    for here in dict.fromkeys(record.environment for record in measured):
        known = accepted(repository.published, here)
        for line in deviations(published, [record for record in measured if record.environment == here]):
            if line in known:
                found.accepted.append(line)
            else:
                found.deviations.append((here, line))
    return found


def check_environment(plan: Plan, setting: Setting) -> None:
    """Before something is published from another environment than what was published last.

    Raises:
        EspalierError: this one measures something else.
    """
    published, here = Store(setting.repository.published), setting.environment
    names = {planned.cell.benchmark for planned in plan.todo}
    moved = {name: reasons for name in setting.grid.benchmarks if name in names
             if (reasons := elsewhere(published, name, here))}  # fmt: skip
    if not moved:
        return
    for reason in dict.fromkeys(reason for reasons in moved.values() for reason in reasons):
        err.print(f"since the last publication: {safe(reason)}")
    err.print("the sentinels are measured first")
    found = look(setting.repository, setting.grid, list(moved))
    _tell(found, err)
    if found.deviations:
        what = "not published: in this environment the sentinels are not what they were"
        raise EspalierError(what, where=setting.repository.published, fix=ACCEPT)


def _accept(repository: Repository, found: Look, reason: str, key: Path | None) -> None:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with (store := published_store(repository, key)).writing():
        for here in dict.fromkeys(environment for environment, _ in found.deviations):
            lines = [line for environment, line in found.deviations if environment == here]
            accept(
                repository.published,
                Acceptance(created=created, environment=here, deviations=lines, reason=reason),
                store.key,
            )


def _tell(found: Look, console: Console) -> None:
    if not found.cells:
        console.print(f"no sentinel is published on these benchmarks yet: {', '.join(SLUGS)}")
        return
    for line in found.accepted:
        err.print(f"accepted: {safe(line)}")
    for _, line in found.deviations:
        err.print(safe(line))
    number = len(found.deviations) + len(found.accepted)
    verdict = "as they were" if not number else f"{number} are not"
    console.print(f"{len(found.records)} records measured anew: {verdict}")


def _measure(repository: Repository, grid: Grid, wanted: Sequence[Wanted], how: Sequence[str]) -> list[Record]:
    """Each on the class of device whose figures its tier publishes, where this machine has it."""
    of_class: dict[str, list[Wanted]] = {}
    for slug, cell in wanted:
        tier = grid.benchmarks[cell.partition("/")[0]].tier
        of_class.setdefault(grid.tiers[tier].device_class, []).append((slug, cell))
    return [record for some in of_class.values() for record in _evaluate(repository, some, how)]


def _evaluate(repository: Repository, wanted: Sequence[Wanted], how: Sequence[str]) -> list[Record]:
    """In a store of its own, which nothing else reads."""
    with tempfile.TemporaryDirectory() as folder:
        slugs = dict.fromkeys(slug for slug, _ in wanted)
        options = [f"--cell={cell}" for _, cell in wanted]
        where = ("--store", folder, "--root", str(repository.root))
        command = ["evaluate", *slugs, *options, *how, "--here", "--force", *where]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "evaluator", *command],
            env=os.environ | {"PYTHONPATH": import_path()},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=leave_with_parent,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise EspalierError(f"the sentinels could not be measured: {lines[-1]}")
        return list(Store(Path(folder)))
