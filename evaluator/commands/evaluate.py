"""`espalier evaluate`: measure what is missing or stale."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from evaluator.check import check_submissions
from evaluator.commands.options import (
    Benchmarks,
    Cells,
    Json,
    Key,
    RecipeName,
    Root,
    Slugs,
    Stress,
    Tier,
    Walls,
    published_store,
    select,
    warn_without_sandbox,
)
from evaluator.commands.sentinels import check_environment
from evaluator.data import prepare
from evaluator.engines import Engine, open_engine
from evaluator.errors import Interrupted, SandboxError, UsageError
from evaluator.grid import Grid
from evaluator.group import make_groups
from evaluator.here import device_classes, only_here
from evaluator.plan import STATES, Plan, make_plan
from evaluator.records import Record, Store
from evaluator.setting import Setting, open_setting
from evaluator.terminal import CellProgress, duration, err, out, print_json, safe

Device = Literal["auto", "cpu", "cuda"]


def evaluate(
    slugs: Slugs = None,
    tier: Tier = None,
    benchmark: Benchmarks = None,
    cell: Cells = None,
    recipe: RecipeName = None,
    stress: Stress = False,
    workers: Annotated[
        int | None, typer.Option(help="groups of cells at a time (default: one a core, or a GPU)", min=1)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="measure again what is fresh")] = False,
    here: Annotated[bool, typer.Option("--here", help="leave to others the tiers that are for another device")] = False,
    publish: Annotated[bool, typer.Option("--publish", help="write to results/ instead of the local store")] = False,
    sign_with: Key = None,
    store: Annotated[Path | None, typer.Option(help="write to this folder, and look at no other store")] = None,
    device: Annotated[Device, typer.Option(help="where to measure")] = "auto",
    sandbox: Walls = "auto",
    engine: Annotated[Literal["local", "dask"], typer.Option(help="this machine, or a Dask cluster")] = "local",
    scheduler: Annotated[str | None, typer.Option(help="of Dask: an address, local or slurm")] = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Measure every selected cell that is missing or stale; safe to stop and start again at any moment."""
    selected = select(root, slugs, tier, benchmark, cell, recipe, stress)
    repository, grid, run_all = selected.repository, selected.grid, open_engine(engine, scheduler)
    target = published_store(repository, sign_with) if publish and not store else Store(store or repository.local)
    read = [target] if store or publish else [Store(repository.published), target]
    records: list[Record] = []
    with target.writing():
        plan = make_plan(repository, grid, selected.submissions, read, selected.selection, force=force)
        if plan.todo:
            walls = None if sandbox == "auto" else sandbox
            reuse = () if force else read
            start = partial(open_setting, repository, grid, sandbox=walls, reuse=reuse, afresh=force, recipe=recipe)
            setting = start(device="cpu" if device == "auto" and device_classes(plan, grid) == {"cpu"} else device)
            if here or not (tier or benchmark or cell):
                if device == "auto" and setting.environment.device_class not in device_classes(plan, grid):
                    setting = start(device="cpu")
                plan = only_here(plan, grid, setting.environment.device_class)
        for reason, number in plan.waiting.items():
            err.print(f"{number} cells cannot be run: {safe(reason)}")
        if plan.todo:
            _check(plan, publish=publish)
            if publish:
                _refuse_to_publish(setting, device_classes(plan, grid))
                check_environment(plan, setting)
            else:
                warn_without_sandbox(setting)
            _prepare_data(plan, grid)
            apart = engine == "local" and not setting.gpus
            records = _measure(plan, setting, target, workers or setting.gpus or os.cpu_count() or 1, run_all, apart=apart)
    report(plan, records, target, as_json=as_json)


def _prepare_data(plan: Plan, grid: Grid) -> None:
    for name in sorted({grid.benchmarks[planned.cell.benchmark].dataset for planned in plan.todo}):
        prepare(name, grid.datasets[name], say=err.print, thorough=True)


def _measure(plan: Plan, setting: Setting, target: Store, workers: int, run_all: Engine, *, apart: bool) -> list[Record]:
    total = sum(len(planned.todo) for planned in plan.todo)
    about = f"about {duration(plan.seconds / workers)}" if plan.seconds is not None else "no estimate yet,"
    err.print(f"{total} networks to measure, {about} with {workers} workers")
    records = []
    try:
        with CellProgress(total, workers, plan.seconds) as progress:
            for record in run_all(make_groups(plan.todo, workers, apart=apart), setting, workers):
                target.add([record])
                records.append(record)
                progress.advance(f"{record.submission} on {record.cell.id}, {record.variant}: {record.status}")
    except Interrupted:
        err.print("what is done is kept; run the same command to go on")
        raise
    return records


def _check(plan: Plan, *, publish: bool) -> None:
    """Say which submissions `espalier check` refuses; raises UsageError where they are to be published."""
    folders = {p.slug: p.submission.folder for p in plan.todo if p.submission}
    refused = [slug for slug, folder in sorted(folders.items()) if not check_submissions([folder]).ok]
    if refused:
        said, fix = f"{', '.join(refused)} would be refused", f"`espalier check {' '.join(refused)}` lists what is wrong"
        if publish:
            raise UsageError(said, fix=fix)
        err.print(f"{safe(said)}, and what is measured of it stays with you: {safe(fix)}")


def _refuse_to_publish(setting: Setting, classes: set[str]) -> None:
    """Raises where what is measured here may not stand among the published records."""
    if setting.sandbox == "none":
        fix = "install bubblewrap and allow user namespaces"
        raise SandboxError("there is no sandbox here, and what is published must come from one", fix=fix)
    if classes != {setting.environment.device_class}:
        wanted = " and ".join(sorted(classes))
        raise UsageError(f"these tiers publish what {wanted} measured, this is {setting.environment.device_class}")


def report(plan: Plan, records: Sequence[Record], target: Store, *, as_json: bool) -> None:
    """Say what was done; exit with 1 when a record made now is a failure of the infrastructure."""
    statuses = Counter(record.status for record in records)
    if as_json:
        before = {state: plan.states[state] for state in STATES}
        made = [
            {"submission": r.submission, "cell": r.cell.id, "variant": r.variant, "status": r.status, "reason": r.reason}
            for r in records
        ]
        waiting = dict(plan.waiting)
        print_json(
            {"plan": before, "waiting": waiting, "measured": dict(statuses), "records": made, "store": str(target.folder)}
        )
    elif not records:
        others = (" or failed before" if plan.states["failed"] else "") + (" or cannot be run here" if plan.idle else "")
        out.print(f"nothing to do: every selected cell is fresh{others}")
    else:
        summary = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
        out.print(f"measured {len(records)}: {summary}; records are in {safe(target.folder)}")
        for record in records:
            if record.status != "ok":
                out.print(f"  {safe(record.submission)} {record.cell.id}: {record.status}: {safe(record.reason)}")
    if statuses["infrastructure"]:
        raise typer.Exit(1)
