"""`espalier gc`: free what no record names any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evaluator.commands.options import Json, Root
from evaluator.errors import UsageError
from evaluator.garbage import Garbage, collect
from evaluator.records import Store
from evaluator.repository import Repository
from evaluator.terminal import out, print_json


def gc(
    keep_days: Annotated[float, typer.Option(help="spare what was written within so many days", min=0)] = 7,
    store: Annotated[list[Path] | None, typer.Option(help="what the records here name stays, too (may be repeated)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Remove outcomes, predictions, prunings and checkpoints that no record names, published or of this machine.

    Records of other branches and of other stores (`--store`) are unknown here: what only they name goes once it is old.
    """
    repository = Repository.find(root)
    folders = {repository.published, repository.local}
    for folder in store or ():
        if not folder.is_dir():
            raise UsageError("there is no such store", where=folder)
        folders.add(folder.resolve())
    stores = [Store(folder) for folder in sorted(folders)]
    garbage = collect(repository, stores, keep_days=keep_days, dry_run=dry_run)
    report(garbage, as_json=as_json, dry_run=dry_run)


def report(garbage: list[Garbage], *, as_json: bool, dry_run: bool) -> None:
    """Say what was removed, by kind."""
    kinds = {
        kind: {"number": len(ones), "bytes": sum(one.size for one in ones)}
        for kind in dict.fromkeys(one.kind for one in garbage)
        for ones in [[one for one in garbage if one.kind == kind]]
    }
    total = sum(one.size for one in garbage)
    if as_json:
        print_json({"dry_run": dry_run, "bytes": total, "kinds": kinds})
        return
    for kind, sums in kinds.items():
        out.print(f"{sums['number']} {kind}{'s' if sums['number'] != 1 else ''}: {sums['bytes'] / 1e6:,.1f} MB")
    verb = "would free" if dry_run else "freed"
    out.print(
        f"{verb} {total / 1e6:,.1f} MB" if garbage else "nothing to free: every file here is named by a record, or recent"
    )
