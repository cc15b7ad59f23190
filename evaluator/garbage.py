"""What no record names any more, among what this machine keeps: outcomes, predictions, prunings and checkpoints.

Records name predictions by digest and prunings by key; a pruning names its outcome. Everything else is what was measured
again since, or what a cell left that has not come to a record yet: that may still be wanted, so what is young is spared.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from evaluator.artifacts import Artifacts
from evaluator.checkpoint_files import checkpoints
from evaluator.errors import StoreError
from evaluator.pruning import Prunings
from evaluator.records import Audits, Store
from evaluator.records.previous import previous
from evaluator.repository import Repository

Kind = Literal["artifact", "pruning", "checkpoint", "half-written file"]
DAY = 86_400


@dataclass(frozen=True)
class Garbage:
    """Files to be removed together, in this order."""

    kind: Kind
    paths: Sequence[Path]
    size: int


def collect(repository: Repository, stores: Sequence[Store], *, keep_days: float, dry_run: bool = False) -> list[Garbage]:
    """Remove what none of the stores names and nobody has touched for ``keep_days``; returns what that was.

    The stores are locked meanwhile: no evaluation into them runs, and none starts.

    Raises:
        StoreError: a store is damaged, so that nobody knows what it names; or an evaluation is running.
    """
    with ExitStack() as stack:
        if not dry_run:
            for store in stores:
                _lock(store, stack)
        garbage = list(find(repository, stores, before=time.time() - keep_days * DAY))
        for one in garbage if not dry_run else ():
            _remove(one)
    return garbage


def find(repository: Repository, stores: Iterable[Store], *, before: float) -> Iterator[Garbage]:
    """What may go; ``before`` is when it has to have been touched last, in seconds since 1970."""
    keys, digests = named(stores)
    artifacts, prunings = Artifacts(repository.artifacts), Prunings(repository)
    for key, path in prunings.files():
        if key not in keys and _touched(path) < before:
            yield _garbage("pruning", [path])
        elif outcome := prunings.outcome(path):
            digests.add(outcome)
    unfinished = ((key, paths) for key, paths in checkpoints(repository) if key not in keys)
    candidates: list[tuple[Kind, Sequence[Path]]] = [
        *(("artifact", [path]) for sha256, path in artifacts.files() if sha256 not in digests),
        *(("checkpoint", paths) for _, paths in unfinished),
        *(("half-written file", [path]) for path in _half_written(repository)),
    ]
    for kind, paths in candidates:
        if max(map(_touched, _all_files(paths))) < before:
            yield _garbage(kind, paths)


def named(stores: Iterable[Store]) -> tuple[set[str], set[str]]:
    """Prune keys, and digests of predictions, that records or audits name, those of the version before among them.

    Raises:
        StoreError: one cannot be read.
    """
    keys: set[str] = set()
    digests: set[str] = set()
    for store in stores:
        for record in chain(store, previous(store.folder)):
            keys.add(record.prune_key)
            digests.update(score.predictions for score in (record.before, record.after) if score)
        for churn in Audits(store.folder):
            digests.update((*churn.pruned.values(), *churn.dense.values()))
    return keys, digests


def _half_written(repository: Repository) -> Iterator[Path]:
    """What a kill left of files that are written whole or not at all."""
    for folder in ("artifacts", "prunings"):
        yield from (repository.state / folder).glob("*/.*.part")
    yield from (repository.state / "checkpoints").glob(".*.part")  # a cell that goes on looks after those in its folder


def _lock(store: Store, stack: ExitStack) -> None:
    try:
        stack.enter_context(store.writing())
    except StoreError as error:
        fix = "wait for it: what it has made so far is named by no record yet"
        raise StoreError(error.what, where=error.where, fix=fix) from None


def _touched(path: Path) -> float:
    """When a file was written last, in seconds since 1970; nothing is known of one that has gone meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _all_files(paths: Iterable[Path]) -> list[Path]:
    """The paths and, of folders, what is in them."""
    return [inner for path in paths for inner in (path, *(path.rglob("*") if path.is_dir() else ()))]


def _garbage(kind: Kind, paths: Sequence[Path]) -> Garbage:
    sizes = (path.lstat().st_size for path in _all_files(paths) if path.is_file() and not path.is_symlink())
    return Garbage(kind, paths, sum(sizes))


def _remove(garbage: Garbage) -> None:
    for path in garbage.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # if that was the last one in it
