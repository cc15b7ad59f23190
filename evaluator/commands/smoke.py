"""`espalier smoke`: does a submission work at all? A minute on a CPU, before anything is measured in earnest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from evaluator.check import check_submission
from evaluator.commands.options import Json, Root, Selected, Walls, select, warn_without_sandbox
from evaluator.expectation import Expectation
from evaluator.group import Group, make_groups, run
from evaluator.launch import Scorers
from evaluator.metadata import Submission
from evaluator.plan import Selection, make_plan
from evaluator.pruning import prune
from evaluator.records import Record, prune_key
from evaluator.remedies import remedy
from evaluator.setting import Setting, open_setting
from evaluator.terminal import out, print_json, print_table, safe


@dataclass(frozen=True)
class Smoked:
    """One cell of the smoke tier: its record, and whether a second run gave the same outcome."""

    record: Record
    repeatable: bool

    @property
    def fine(self) -> bool:
        return self.record.status == "ok" and self.repeatable

    def as_json(self) -> dict[str, object]:
        record = self.record
        return {
            "cell": record.cell.id,
            "status": record.status,
            "reason": record.reason,
            "repeatable": self.repeatable,
            "compression": record.counts.compression if record.counts else None,
            "before": record.before.accuracy if record.before else None,
            "after": record.after.accuracy if record.after else None,
            "log": record.log,
        }


def smoke(
    slug: Annotated[str, typer.Argument(help="the submission")],
    sandbox: Walls = "auto",
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
    with setting.scorers() as scorers:
        smoked = [result for group in _groups(selected) for result in run_smoke(group, setting, scorers)]
    if as_json:
        print_json({"ok": all(s.fine for s in smoked), "sandbox": setting.sandbox, "cells": [s.as_json() for s in smoked]})
    else:
        _show(smoked)
    if not all(s.fine for s in smoked):
        raise typer.Exit(1)


def _groups(selected: Selected) -> list[Group]:
    """The feasible cells of one seed; nothing is read from or written to a store."""
    everything = Selection(benchmarks=selected.selection.benchmarks)
    planned = make_plan(selected.repository, selected.grid, selected.submissions, [], everything).cells
    first = {name: selected.grid.benchmarks[name].seeds[0] for name in selected.grid.benchmarks}
    mine = [p for p in planned if p.submission and p.cell.seed == first[p.cell.benchmark]]
    return make_groups([replace(p, todo=("method",)) for p in mine])


def run_smoke(group: Group, setting: Setting, scorers: Scorers) -> Iterator[Smoked]:
    """Prune every cell of a group twice, then score it."""
    submission = group.submission
    assert isinstance(submission, Submission)
    expectation = Expectation(setting.repository, setting.grid)
    keys = {p.cell: prune_key(p.cell, expectation.inputs(submission, p.cell)) for p in group.planned}
    afresh = replace(setting, afresh=True, resumable=False)
    first, second = (prune(submission, group.benchmark, keys, afresh) for _ in range(2))
    for record in run(group, setting, scorers):
        cell = record.cell
        yield Smoked(record, first[cell].outcome == second[cell].outcome and first[cell].status == second[cell].status)


def _show(smoked: list[Smoked]) -> None:
    def row(s: Smoked) -> tuple[object, ...]:
        r = s.record
        figures = (r.counts.compression, r.counts.speedup) if r.counts else (None, None)
        reached = ["" if figure is None else f"{figure:.3f}" for figure in figures]
        scores = [f"{score.accuracy:.1f}" if score else "" for score in (r.before, r.after)]
        return (r.cell.id, r.status, *reached, *scores, f"{r.cost.pruning_seconds:.1f}", "yes" if s.repeatable else "NO")

    columns = ("cell", "status", ">compression", ">speedup", ">before %", ">after %", ">seconds", "repeatable")
    print_table(columns, map(row, smoked))
    for alike in _alike(smoked):
        _explain(alike)
    out.print("\nfine" if all(s.fine for s in smoked) else "\nnot fine")


def _alike(smoked: list[Smoked]) -> list[list[Smoked]]:
    """The cells that are not fine, those together of which the same is to be said."""
    groups: dict[tuple[str, str | None, str | None], list[Smoked]] = {}
    for s in smoked:
        if not s.fine:
            groups.setdefault((s.record.status, s.record.reason, s.record.log), []).append(s)
    return list(groups.values())


def _explain(alike: list[Smoked]) -> None:
    record = alike[0].record
    others = f" and {len(alike) - 1} more" if alike[1:] else ""
    if record.status == "ok":
        out.print(f"\n{record.cell.id}{others}: two runs gave different outcomes; draw from job.generator only")
        return
    out.print(f"\n{record.cell.id}{others}: {record.status}: {safe(record.reason)}")
    if fix := remedy(record.division, record.status):
        out.print(f"  fix: {fix}")
    if record.log:
        out.print(f"the end of its log:\n{safe(record.log)}")
