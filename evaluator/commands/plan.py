"""`espalier plan`: what there is to do, and why."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Annotated

import typer

from evaluator.commands.options import Benchmarks, Cells, Json, RecipeName, Root, Slugs, Stress, Tier, select
from evaluator.here import device_classes, only_here
from evaluator.plan import STATES, Plan, Planned, make_plan
from evaluator.records import Store
from evaluator.setting import open_setting
from evaluator.terminal import duration, out, print_json, print_table

CPU = "cpu"
"""Every machine has one."""


def plan(
    slugs: Slugs = None,
    tier: Tier = None,
    benchmark: Benchmarks = None,
    cell: Cells = None,
    recipe: RecipeName = None,
    stress: Stress = False,
    published: Annotated[bool, typer.Option("--published", help="look at results/ only, not at the local store")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="nothing to do for tiers that no device of this machine is for")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="for the estimate (default: one a core, or with --here a GPU)")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="a line for each submission (default: where some are named)")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Compare the grid with the records: every cell is fresh, missing, failed or stale, with the reason."""
    selected = select(root, slugs, tier, benchmark, cell, recipe, stress)
    stores = [Store(selected.repository.published)]
    if not published:
        stores.append(Store(selected.repository.local))
    made = make_plan(selected.repository, selected.grid, selected.submissions, stores, selected.selection)
    gpus = 0
    if here and device_classes(made, selected.grid) - {CPU}:
        setting = open_setting(selected.repository, selected.grid)
        made = only_here(made, selected.grid, *dict.fromkeys((setting.environment.device_class, CPU)))
        gpus = setting.gpus
    workers = workers or gpus or os.cpu_count() or 1
    if as_json:
        print_json(
            {
                "states": {state: made.states[state] for state in STATES},
                "seconds": made.seconds and made.seconds / workers,
                "workers": workers,
                "waiting": dict(made.waiting),
                "infeasible": [c.id for c in made.infeasible],
                "cells": [planned.as_json() for planned in made.cells],
            }
        )
    else:
        show(made, workers, each=each or bool(slugs))


def show(made: Plan, workers: int, *, each: bool) -> None:
    """Print a plan: a line for each benchmark, state and reason, and with ``each`` for each submission too."""
    if not made.cells:
        beyond = f"{len(made.infeasible)} are infeasible there" if made.infeasible else "see its division and stage"
        out.print(f"no cell of the grid is for these submissions on these benchmarks: {beyond}")
        return
    first = ["submission"] if each else [">submissions"]
    print_table((*first, "benchmark", "state", "why", ">cells"), _rows(made, each))
    states = ", ".join(f"{made.states[state]} {state}" for state in STATES)
    out.print(f"\n{len(made.cells)} cells: {states}" + (f"; {len(made.infeasible)} infeasible" if made.infeasible else ""))
    if made.todo:
        about = f"about {duration(made.seconds / workers)}" if made.seconds is not None else "no estimate yet,"
        networks = sum(len(planned.todo) for planned in made.todo)
        cells = f"{len(made.todo)} cells to run, {networks} networks with their controls"
        out.print(f"{cells}: {about} with {workers} workers{_like(made)}")


def _like(made: Plan) -> str:
    """Where the estimate comes from, unless every machine has one."""
    others = sorted(made.devices - {CPU})
    return f", by what they took on {' and '.join(others)}" if others else ""


def _rows(made: Plan, each: bool) -> Iterator[tuple[object, ...]]:
    def heading(planned: Planned) -> tuple[str, ...]:
        return (planned.slug if each else "", planned.cell.benchmark, planned.state, "; ".join(planned.reasons))

    for (slug, *rest), group in itertools.groupby(sorted(made.cells, key=heading), key=heading):
        cells = list(group)
        yield (slug or len({planned.slug for planned in cells}), *rest, len(cells))
