"""`espalier audit`: what networks forget while their accuracy looks fine, and the churn that stored predictions tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evaluator.artifacts import Artifacts
from evaluator.commands.options import Benchmarks, Json, Key, Root, published_store, select, unmeasured
from evaluator.errors import UsageError
from evaluator.grid import Grid
from evaluator.records import Audits, Churn, Store
from evaluator.records.audit import Place
from evaluator.records.record import DENSE
from evaluator.repository import Repository
from evaluator.terminal import err, out, print_json, print_table, safe

if TYPE_CHECKING:
    from leaderboard.audit import Audited

    from evaluator.churn import Predictions

Slugs = Annotated[list[str] | None, typer.Argument(help="submissions (default: all that were measured)")]
Lacking = tuple[str, str, str]
"""Origin, benchmark, and the submission (or `dense`) some of whose predictions are not here."""


@dataclass(frozen=True)
class Row:
    """One method at one target and phase, with its churn where that could be counted here or is published."""

    audited: Audited
    churn: Churn | None
    missing: frozenset[Lacking]
    """Predictions that are not here; empty when there are too few seeds for churn."""

    @property
    def unknown(self) -> bool:
        """Whether the predictions would tell."""
        return self.churn is None and bool(self.missing)


def audit(
    slugs: Slugs = None,
    benchmark: Benchmarks = None,
    published: Annotated[bool, typer.Option("--published", help="look at results/ only, not at the local store")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="keep the churn beside the records, where the site takes it from")
    ] = False,
    sign_with: Key = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Compare pruned networks with the dense ones, class by class and image by image.

    Recall per class is in every record. Churn needs the predictions, which stay on the machine that measured.
    """
    from leaderboard.audit import audit as audited
    from leaderboard.load import PUBLISHED, load_results

    from evaluator.churn import Predictions  # brings NumPy, which no other command waits for

    selected = select(root, benchmarks=benchmark)
    repository, grid = selected.repository, selected.grid
    results = load_results(repository, grid, local=not published)
    wanted = selected.selection.benchmarks or grid.benchmarks
    found = [one for one in audited(results, grid) if one.board.key.benchmark in wanted]
    found = _of_slugs(found, slugs or [], repository.submissions)
    predictions = Predictions(Artifacts(repository.artifacts))
    rows = [_row(one, predictions, grid) for one in found]
    if write:
        for origin in dict.fromkeys(row.audited.board.key.origin for row in rows):
            store = published_store(repository, sign_with) if origin == PUBLISHED else Store(repository.local)
            _write([row for row in rows if row.audited.board.key.origin == origin], store)
    if as_json:
        print_json({"rows": [_as_json(row, grid) for row in rows], "missing": _missing_json(rows)})
    else:
        _show(rows, grid, repository, write=write)
    if write and any(row.unknown for row in rows):
        raise typer.Exit(1)


def _of_slugs(found: list[Audited], slugs: list[str], submissions: Path) -> list[Audited]:
    known = sorted({one.submission for one in found})
    unknown = [slug for slug in slugs if slug not in known]
    if not unknown and found:
        return [one for one in found if not slugs or one.submission in slugs]
    if not unknown:
        raise UsageError("nothing was measured here yet", fix="espalier evaluate SLUG")
    raise UsageError(f"nothing to audit of {unknown[0]!r}", fix=unmeasured(unknown[0], known, submissions))


def _row(one: Audited, predictions: Predictions, grid: Grid) -> Row:
    """Count the churn where all predictions are here; otherwise take what is published for the same ones."""
    from evaluator.churn import disagreement, enough

    pruned, dense, key = one.pruned.predictions, one.dense.predictions, one.board.key
    if not enough(pruned, dense):
        return Row(one, None, frozenset())
    classes = grid.datasets[grid.benchmarks[key.benchmark].dataset].classes
    mine = predictions.of(pruned, one.pruned.images, classes)
    theirs = predictions.of(dense, one.dense.images, classes)
    lacking = {one.submission: len(mine) < len(pruned), DENSE: len(theirs) < len(dense)}
    if any(lacking.values()):
        missing = frozenset((key.origin, key.benchmark, slug) for slug, lacks in lacking.items() if lacks)
        return Row(one, one.churn, missing)
    counted = disagreement(mine, theirs)
    place = {name: value for name, value in key._asdict().items() if name != "origin"}
    content = {**place, "submission": one.submission, "target": one.target, "phase": one.phase, "pruned": pruned,
               "dense": dense, "images": one.pruned.images, **counted._asdict()}  # fmt: skip
    return Row(one, Churn.model_validate(content), frozenset())


def _write(rows: Sequence[Row], store: Store) -> None:
    """One file for each benchmark and submission; a figure of which nothing is known any more goes, the others stay."""
    files: dict[tuple[str, str], dict[Place, Churn | None]] = {}
    for row in rows:
        one, key = row.audited, row.audited.board.key
        place = (key.track, key.division, key.recipe, key.device_class, one.target, one.phase)
        files.setdefault((key.benchmark, one.submission), {})[place] = row.churn
    audits = Audits(store.folder, store.key)
    with store.writing():
        for file, found in files.items():
            merged = {**audits.read(*file), **found}
            audits.write(*file, [figure for figure in merged.values() if figure])


def _show(rows: Sequence[Row], grid: Grid, repository: Repository, *, write: bool) -> None:
    columns = ("method", "benchmark", "board", ">target", "phase", ">top-1", ">churn %", ">own seed %", ">worst class",
               ">significant")  # fmt: skip
    for origin in dict.fromkeys(row.audited.board.key.origin for row in rows):
        title = "published" if origin == "published" else "measured on this machine"
        mine = [row for row in rows if row.audited.board.key.origin == origin]
        print_table(columns, [_cells(row, grid) for row in mine], title=title)
    out.print("\nchanges against the dense networks, in points; worst class and significant ones beyond the change of top-1")
    if write:
        known = sum(row.churn is not None for row in rows)
        out.print(f"{known} figures of churn are written beside the records")
    _tell_missing(rows, repository)


def _cells(row: Row, grid: Grid) -> tuple[object, ...]:
    one, key, f = row.audited, row.audited.board.key, row.audited.forgetting
    entry = grid.benchmarks[key.benchmark]
    board = " ".join([key.track, key.division, *([key.recipe] if key.recipe in entry.alternative_recipes else [])])
    own = row.churn.own_seed if row.churn else None
    return (one.submission, key.benchmark, board, one.target, one.phase, f"{f.top1:+.2f}",
            f"{row.churn.churn:+.2f}" if row.churn else "?" if row.unknown else "-",
            f"{own:.2f}" if own is not None else "-", f"{_worst(row, grid)} {f.beyond[f.worst]:+.2f}",
            f"{int(f.significant.sum())} of {f.tested}")  # fmt: skip


def _worst(row: Row, grid: Grid) -> str:
    from leaderboard.audit import class_name

    return class_name(grid, row.audited.board.key.benchmark, row.audited.forgetting.worst)


def _tell_missing(rows: Iterable[Row], repository: Repository) -> None:
    unknown = [row for row in rows if row.unknown]
    if not unknown:
        return
    err.print(f"\nchurn of {len(unknown)} rows is unknown (?): predictions stay where they were made, outside git, and some "
              f"of these are not in {safe(repository.artifacts)}:")  # fmt: skip
    for benchmark, slugs in _by_benchmark(unknown).items():
        err.print(f"  {safe(benchmark)}: {safe(', '.join(slugs))}")
    first = unknown[0].audited
    again = f"espalier evaluate {first.submission} --benchmark {first.board.key.benchmark} --force"
    err.print(f"  fix: measure again, such as `{safe(again)}`; the audit then has what this machine measured. "
              "Or run `espalier audit --write` where the predictions are")  # fmt: skip


def _by_benchmark(rows: Iterable[Row]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for _, benchmark, slug in {lacking for row in rows for lacking in row.missing}:
        found.setdefault(benchmark, set()).add(slug)
    return {benchmark: sorted(slugs) for benchmark, slugs in sorted(found.items())}


def _as_json(row: Row, grid: Grid) -> dict[str, Any]:
    one, f, churn = row.audited, row.audited.forgetting, row.churn
    return {
        **one.board.key._asdict(), "submission": one.submission, "target": one.target, "phase": one.phase,
        "seeds": one.pruned.seeds, "dense_seeds": one.dense.seeds, "top1_change": f.top1,
        "churn": churn.churn if churn else None, "against_dense": churn.against_dense if churn else None,
        "among_dense": churn.among_dense if churn else None, "own_seed": churn.own_seed if churn else None,
        "worst_class": _worst(row, grid), "worst_beyond": float(f.beyond[f.worst]), "spread": f.spread,
        "significant": int(f.significant.sum()), "tested": f.tested,
        "recall_change": [_number(value) for value in f.recall], "adjusted_p": [_number(value) for value in f.adjusted],
    }  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _missing_json(rows: Iterable[Row]) -> list[dict[str, str]]:
    lacking = sorted({one for row in rows if row.unknown for one in row.missing})
    return [{"origin": origin, "benchmark": benchmark, "submission": slug} for origin, benchmark, slug in lacking]
