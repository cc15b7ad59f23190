"""`espalier sentinels`: does this machine still measure what was published?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from evaluator.commands.options import Benchmarks, Json, Root, Tier, select
from evaluator.errors import EspalierError
from evaluator.records import Record, Store
from evaluator.repository import Repository
from evaluator.sentinels import SLUGS, cells, deviations
from evaluator.terminal import err, out, print_json, safe


def sentinels(tier: Tier = None, benchmark: Benchmarks = None, as_json: Json = False, root: Root = None) -> None:
    """Measure dense, random and global magnitude anew, a cell each, and compare with what is published."""
    selected = select(root, None, tier, benchmark)
    published = Store(selected.repository.published)
    names = [
        name for name in selected.grid.benchmarks if name in (selected.selection.benchmarks or selected.grid.benchmarks)
    ]
    wanted = cells(selected.grid, published, names)
    measured = _measure(selected.repository, wanted) if wanted else []
    found = deviations(published, measured)
    if as_json:
        print_json({"ok": not found, "cells": wanted, "records": len(measured), "deviations": found})
    elif not wanted:
        out.print(f"no sentinel is published on these benchmarks yet: {', '.join(SLUGS)}")
    else:
        for line in found:
            err.print(safe(line))
        out.print(f"{len(measured)} records measured anew: {'as they were' if not found else f'{len(found)} are not'}")
    if found:
        raise typer.Exit(1)


def _measure(repository: Repository, wanted: list[str]) -> list[Record]:
    """In a store of its own, which nothing else reads."""
    with tempfile.TemporaryDirectory() as folder:
        options = [part for cell in wanted for part in ("--cell", cell)]
        command = ["evaluate", *SLUGS, *options, "--force", "--store", folder, "--root", str(repository.root)]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "evaluator", *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise EspalierError(f"the sentinels could not be measured: {lines[-1]}")
        return list(Store(Path(folder)))
