"""From measured here to published: records of the local store that may stand among the published ones. No PyTorch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evaluator.grid import Cell, Grid
from evaluator.metadata import Submission
from evaluator.plan import DONE, Planned, Selection, make_plan
from evaluator.records import Record, Store
from evaluator.records.soundness import unpublishable
from evaluator.repository import Repository


def promote(
    repository: Repository, grid: Grid, submissions: Sequence[Submission], selection: Selection, published: Store
) -> list[Record]:
    """Copy what is done here and not yet there, in ``published``; returns the records that were copied.

    What stands among the published records, and is not stale, stays. Nothing is copied that was measured without a sandbox
    or on another device than the tier's, or rests on other inputs than today's; nor what another recipe retrained than the
    selection's.
    """
    local = Store(repository.local)
    with published.writing():
        here, there = (make_plan(repository, grid, submissions, [store], selection).cells for store in (local, published))
        wanted = _done(here) - _done(there)
        records = [record for record in _records(local, wanted) if _may_be_published(record, grid, selection.recipe)]
        published.add(records)
    return records


def _done(planned: Iterable[Planned]) -> set[tuple[str, Cell]]:
    return {(one.slug, one.cell) for one in planned if one.state in DONE}


def _records(store: Store, wanted: set[tuple[str, Cell]]) -> list[Record]:
    files = sorted({(cell.benchmark, slug) for slug, cell in wanted})
    found = (record for file in files for record in store.read(*file).values())
    return [record for record in found if (record.submission, record.cell) in wanted]


def _may_be_published(record: Record, grid: Grid, recipe: str | None) -> bool:
    meant = record.recipe == grid.recipe_name(record.benchmark, record.track, recipe)
    return meant and not any(unpublishable(record, grid))
