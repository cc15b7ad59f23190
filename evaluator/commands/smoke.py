"""`espalier smoke`: does a submission work at all? A minute on a CPU, before anything is measured in earnest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from evaluator.check import check_submission
from evaluator.commands.options import Json, Root, Selected, Walls, select, warn_without_sandbox
from evaluator.group import Group, make_groups
from evaluator.plan import Selection, make_plan
from evaluator.remedies import remedy
from evaluator.setting import Setting, open_setting
from evaluator.terminal import CellProgress, duration, err, out, print_json, print_table, safe
from evaluator.trial import STEPS, Tried, try_out

UNSTEADY = "two runs gave different outcomes; draw from job.generator only"
NOT_AGAIN = "it was not run again, since another cell ran out of time"
SHOWN_LINES = 10
"""Of what a method prints, unless all of it is asked for."""


def smoke(
    slug: Annotated[str, typer.Argument(help="the submission")],
    sandbox: Walls = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="show all that the method printed")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Run a submission on the smoke tier, one seed, each cell twice: does it finish, hit the target, and repeat itself?"""
    selected = select(root, [slug], tier="smoke")
    problems = [p for p in check_submission(selected.repository.submissions / slug) if p.severity == "error"]
    if problems:
        number = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        out.print(f"{safe(slug)} has {number}: `espalier check {safe(slug)}` lists what is wrong")
        raise typer.Exit(1)
    setting = open_setting(selected.repository, selected.grid, sandbox=None if sandbox == "auto" else sandbox)
    warn_without_sandbox(setting)
    tried = _try(_groups(selected), setting)
    fine = all(one.fine for one in tried)
    if as_json:
        print_json({"ok": fine, "sandbox": setting.sandbox, "cells": [one.as_json() for one in tried]})
    else:
        _show(tried, verbose=verbose)
    if not fine:
        raise typer.Exit(1)


def _groups(selected: Selected) -> list[Group]:
    """The feasible cells of one seed; nothing is read from or written to a store."""
    everything = Selection(benchmarks=selected.selection.benchmarks)
    planned = make_plan(selected.repository, selected.grid, selected.submissions, [], everything).cells
    first = {name: selected.grid.benchmarks[name].seeds[0] for name in selected.grid.benchmarks}
    mine = [p for p in planned if p.submission and p.cell.seed == first[p.cell.benchmark]]
    return make_groups([replace(p, todo=("method",)) for p in mine])


def _try(groups: Sequence[Group], setting: Setting) -> list[Tried]:
    """Each step is told when it is done: one may take as long as its limit is."""
    cells = sum(len(group.planned) for group in groups)
    longest = max((setting.limits(group.benchmark).wall_seconds for group in groups), default=0)
    err.print(f"{cells} cells, each pruned twice and scored; a run may take {duration(longest)}")
    with CellProgress(STEPS * cells, 1, None, noun="steps", pause=0) as progress, setting.scorers() as scorers:
        return list(try_out(groups, setting, scorers, progress.advance))


def _show(tried: Sequence[Tried], *, verbose: bool) -> None:
    columns = ("cell", "status", ">compression", ">speedup", ">before %", ">after %", ">seconds", "repeatable")
    print_table(columns, map(_row, tried))
    told: set[str] = set()
    for alike in _alike(tried):
        _explain(alike, told)
    _show_printed([one for one in tried if one.status == "ok"], verbose=verbose)
    out.print("\nfine" if all(one.fine for one in tried) else "\nnot fine")


def _row(tried: Tried) -> tuple[object, ...]:
    r = tried.record
    if r is None:
        return (tried.cell.id, tried.status, *[""] * 6)
    figures = (r.counts.compression, r.counts.speedup) if r.counts else (None, None)
    reached = ["" if figure is None else f"{figure:.3f}" for figure in figures]
    scores = [f"{score.accuracy:.1f}" if score else "" for score in (r.before, r.after)]
    again = {True: "yes", False: "NO", None: ""}[tried.repeatable]
    return (r.cell.id, r.status, *reached, *scores, f"{r.cost.pruning_seconds:.1f}", again)


def _show_printed(tried: Sequence[Tried], *, verbose: bool) -> None:
    """What the method printed where it came to its end, the same once."""
    logs: dict[str, list[Tried]] = {}
    for one in tried:
        if one.printed:
            logs.setdefault(one.printed, []).append(one)
    for log, alike in list(logs.items())[: None if verbose else 1]:
        shown = log.splitlines()[0 if verbose else -SHOWN_LINES :]
        out.print(f"\n{_name(alike)} printed:\n" + safe("\n".join(shown)))
    if not verbose and (len(logs) > 1 or any(len(log.splitlines()) > SHOWN_LINES for log in logs)):
        out.print("and more, which --verbose shows")


def _alike(tried: Sequence[Tried]) -> list[list[Tried]]:
    """The cells that are not fine, those together of which the same is to be said."""
    groups: dict[tuple[object, ...], list[Tried]] = {}
    for one in tried:
        if not one.fine:
            said = one.repeatable if one.status == "ok" else one.log
            groups.setdefault((one.status, one.reason, said), []).append(one)
    return list(groups.values())


def _explain(alike: Sequence[Tried], told: set[str]) -> None:
    """``told``: remedies that were given before."""
    first, what = alike[0], f"\n{_name(alike)}"
    if first.status == "ok":
        out.print(f"{what}: {UNSTEADY if first.repeatable is False else NOT_AGAIN}")
        return
    out.print(f"{what}: {first.status}: {safe(first.reason)}")
    fix = remedy(first.cell.division, first.status)
    if fix and fix not in told:
        told.add(fix)
        out.print(f"  fix: {fix}")
    if first.log:
        out.print(f"the end of its log:\n{safe(first.log)}")


def _name(alike: Sequence[Tried]) -> str:
    return alike[0].cell.id + (f" and {len(alike) - 1} more" if alike[1:] else "")
