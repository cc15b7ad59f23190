"""`espalier show`: the figures of a submission, as the records have them."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from evaluator.commands.options import Benchmarks, Json, RecipeName, Root, select, unmeasured
from evaluator.errors import EspalierError, UsageError
from evaluator.plan import make_plan
from evaluator.records import Record, Store
from evaluator.terminal import out, print_json, print_table, safe


def show(
    slug: Annotated[str, typer.Argument(help="a submission, or `dense`")],
    benchmark: Benchmarks = None,
    as_json: Json = False,
    recipe: RecipeName = None,
    local: Annotated[bool, typer.Option("--local", help="what this machine measured, instead of what is published")] = False,
    root: Root = None,
) -> None:
    """Show what was measured of a submission: accuracy before and after retraining, beside its controls."""
    selected = select(root, benchmarks=benchmark, recipe=recipe)
    published, mine = Store(selected.repository.published), Store(selected.repository.local)
    # never both in one table: they were measured on different machines
    published_here = any(published.path(name, slug).is_file() for name in selected.grid.benchmarks)
    store = mine if local or not published_here else published
    records: list[Record] = []
    for name in selected.grid.benchmarks:
        if not selected.selection.benchmarks or name in selected.selection.benchmarks:
            found = store.read(name, slug).values()
            records += [r for r in found if r.recipe == selected.grid.recipe_name(name, r.track, recipe)]
    if not records:
        stores = (mine,) if local else (published, mine)
        others = {path.stem for one in stores for path in one.folder.glob("*/*.jsonl")}
        where = " of this machine" if local else ""
        if slug in others:
            what = f"no records of {slug!r}{where} for this benchmark or recipe"
            raise UsageError(what, fix="leave --benchmark and --recipe out, or choose others")
        ways = [unmeasured(slug, others, selected.repository.submissions)]
        ways += ["leave --local out for what is published"] if local and published_here else []
        raise UsageError(f"no records of {slug!r}{where}", fix="; ".join(ways))
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    columns = (
        "benchmark",
        "track",
        "division",
        "variant",
        ">target",
        ">n",
        ">before %",
        ">± sd",
        ">after %",
        ">± sd",
        ">speedup",
        "failures",
    )
    print_table(columns, [_row(*key, cells=cells) for key, cells in _by_point(records).items()])
    if store is published and any(mine.path(name, slug).is_file() for name in selected.grid.benchmarks):
        out.print(f"\nwhat this machine measured is apart: espalier show {safe(slug)} --local")
    if stale := _stale(slug, store, root, benchmark, recipe):
        out.print(
            f"\n[bold]{stale} of these cells are stale[/]: what they rest on has changed since; `espalier plan` says what"
        )
    for (status, log), ids in _logs(records).items():
        more = f" and {len(ids) - 1} more" if ids[1:] else ""
        out.print(f"\n{ids[0]}{more}: {status}, the end of {'their' if more else 'its'} log:\n{safe(log)}")


def _stale(slug: str, store: Store, root: Root, benchmarks: Benchmarks, recipe: RecipeName) -> int:
    """How many cells of a table would be measured anew; 0 where that cannot be told, as of a submission that is gone."""
    with contextlib.suppress(EspalierError):
        selected = select(root, [slug], benchmarks=benchmarks, recipe=recipe, stress=True)
        made = make_plan(selected.repository, selected.grid, selected.submissions, [store], selected.selection)
        return sum(planned.slug == slug and planned.state == "stale" for planned in made.cells)
    return 0


def _logs(records: Iterable[Record]) -> dict[tuple[str, str], list[str]]:
    """The cells that failed, by what is to be said of them."""
    logs: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.status != "ok" and record.log:
            logs.setdefault((record.status, record.log), []).append(record.cell.id)
    return logs


def _by_point(records: Iterable[Record]) -> dict[tuple[str, str, str, str, float | str], list[Record]]:
    points: dict[tuple[str, str, str, str, float | str], list[Record]] = {}
    for r in records:
        points.setdefault((r.benchmark, r.track, r.division, r.variant, r.target), []).append(r)
    return points


def _row(*key: Any, cells: list[Record]) -> tuple[object, ...]:
    *what, target = key
    before = [r.before.accuracy for r in cells if r.before]
    after = [r.after.accuracy for r in cells if r.after]
    speedups = [r.counts.speedup for r in cells if r.counts and r.counts.speedup]
    failures = ", ".join(sorted({r.status for r in cells if r.status != "ok"}))
    shown = f"{target:g}x" if isinstance(target, float) else target
    figures = (_mean(before), _spread(before), _mean(after), _spread(after), _mean(speedups))
    return (*what, shown, len(cells), *figures, failures)


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f}" if values else ""


def _spread(values: list[float]) -> str:
    return f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
