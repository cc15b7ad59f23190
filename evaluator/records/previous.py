"""The records of the version before, while a grid or protocol that changed is measured anew.

A record that is replaced because the grid changed goes to ``previous/<benchmark>/<submission>.jsonl``, beside the others.
With those that still wait in their old place it is the table of the version before, which a site shows until the new one is
complete. The next change of the grid replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evaluator.records.changes import Changes, Identity
from evaluator.records.keys import Inputs
from evaluator.records.record import Record, is_control
from evaluator.records.signatures import SigningKey
from evaluator.records.store import Store

FOLDER = "previous"


def previous(folder: Path, key: SigningKey | None = None) -> Store:
    """What the store in a folder has set aside."""
    return Store(folder / FOLDER, key)


def published(folder: Path, key: SigningKey | None = None) -> Store:
    """The store of published records, to be written to: what it replaces is noted, and set aside where the grid changed."""

    def replace(benchmark: str, submission: str, old: Mapping[Identity, Record], new: Mapping[Identity, Record]) -> None:
        Changes(folder, key).note(benchmark, submission, old, (r for i, r in new.items() if r is not old.get(i)))
        _set_aside(previous(folder, key), benchmark, submission, old, new)

    return Store(folder, key, replace)


def basis(record: Record) -> Inputs:
    """What a record rests on beside the submission's own code."""
    return record.inputs.model_copy(update={"submission": ""})


def _set_aside(
    store: Store, benchmark: str, submission: str, old: Mapping[Identity, Record], new: Mapping[Identity, Record]
) -> None:
    outdated = {identity for identity, record in old.items() if _by_the_grid(record, new.get(identity))}
    cells = {(old[identity].recipe, old[identity].cell) for identity in outdated if old[identity].variant == "method"}
    gone = [record for identity, record in old.items()
            if identity in outdated or (identity not in new and (record.recipe, record.cell) in cells)]  # fmt: skip
    if not gone:
        return
    known = store.read(benchmark, submission)
    unfinished = {basis(record) for identity, record in old.items() if new.get(identity) is record}
    store.add(r for r in gone if (kept := known.get(r.identity)) is None or basis(kept) not in unfinished)


def _by_the_grid(old: Record, new: Record | None) -> bool:
    """Whether a record is replaced since the grid changed, and its submission did not."""
    if new is None or old.status == "infrastructure" or old.inputs.submission != new.inputs.submission:
        return False
    ignored = {} if is_control(old.variant) else {"controls_protocol": 0}
    return basis(old).model_copy(update=ignored) != basis(new).model_copy(update=ignored)
