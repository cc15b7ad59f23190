"""A folder of records: JSON Lines, one file per benchmark and submission, one canonical line a record.

The store has one writer. A file is replaced whole, so that a kill at any moment loses at most the record being written,
and its lines are sorted, so that the same records are the same bytes and differences read well in git.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluator.canonical import canonical_json
from evaluator.errors import StoreError
from evaluator.held import take
from evaluator.records.record import SCHEMA, Record, is_control
from evaluator.records.signatures import SigningKey, write

Identity = tuple[Any, ...]
Replace = Callable[[str, str, Mapping[Identity, Record], Mapping[Identity, Record]], None]
"""Is told of a file (benchmark, submission), before it is written, which records it has and will have."""

_RESTORE = "restore the file from git, or delete the line: the cell is then measured again"


def _one_to_two(record: dict[str, Any]) -> dict[str, Any]:
    """Structured pruning: latencies, channels kept, and what a method trains by. Nothing measured before has any."""
    return {**record, "schema_version": 2}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _one_to_two}
"""From a schema version to the next, one step a function."""


class Store:
    """Records in ``folder``; ``results/`` when published, the local state otherwise.

    Args:
        key: signs every file that is written; None: nothing is signed.
        replace: keeps what is replaced, if anybody does.
    """

    def __init__(self, folder: Path, key: SigningKey | None = None, replace: Replace | None = None) -> None:
        self.folder = folder
        self.key = key
        self._replace = replace

    def path(self, benchmark: str, submission: str) -> Path:
        return self.folder / benchmark / f"{submission}.jsonl"

    def read(self, benchmark: str, submission: str) -> dict[Identity, Record]:
        """The records of one file by identity; empty when there is none. Raises StoreError as :func:`read_file`."""
        path = self.path(benchmark, submission)
        return {record.identity: record for record in read_file(path)} if path.is_file() else {}

    def files(self) -> list[Path]:
        """Every file of records, in a fixed order."""
        return [path for folder in sorted(self.folder.glob("*/")) for path in sorted(folder.glob("*.jsonl"))]

    def files_of(self, benchmark: str) -> list[Path]:
        """Those of a benchmark."""
        return sorted((self.folder / benchmark).glob("*.jsonl"))

    def of(self, benchmark: str) -> Iterator[Record]:
        """Every record of a benchmark, in a fixed order."""
        for path in self.files_of(benchmark):
            yield from read_file(path)

    def by(self, submission: str) -> list[Record]:
        """Every record of a submission, in a fixed order."""
        folders = sorted(path.name for path in self.folder.glob("*/"))
        return [record for benchmark in folders for record in self.read(benchmark, submission).values()]

    def __iter__(self) -> Iterator[Record]:
        """Every record, in a fixed order."""
        for path in self.files():
            yield from read_file(path)

    def add(self, records: Iterable[Record]) -> None:
        """Insert, replacing records of the same identity.

        Matched controls belong to their method's masks: without a method's good record of the same prune key they are
        dropped. A failure of the infrastructure replaces nothing that was measured.
        """
        files: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            files.setdefault((record.benchmark, record.submission), []).append(record)
        for (benchmark, submission), new in files.items():
            old = self.read(benchmark, submission)
            merged = old | {record.identity: record for record in new if not _worse(record, old.get(record.identity))}
            methods = {(r.recipe, r.cell): r for r in merged.values() if r.variant == "method"}
            kept = {i: r for i, r in merged.items() if _belongs(r, methods.get((r.recipe, r.cell)))}
            if self._replace is not None:
                self._replace(benchmark, submission, old, kept)
            self._write(self.path(benchmark, submission), kept.values())

    def discard(self, records: Iterable[Record]) -> None:
        """Take out, as if never measured. Of a local store: what is published is replaced, and told of."""
        gone: dict[tuple[str, str], set[Identity]] = {}
        for record in records:
            gone.setdefault((record.benchmark, record.submission), set()).add(record.identity)
        for place, identities in gone.items():
            kept = [record for identity, record in self.read(*place).items() if identity not in identities]
            self._write(self.path(*place), kept)

    def _write(self, path: Path, records: Iterable[Record]) -> None:
        ordered = sorted(records, key=_order)
        lines = "".join(canonical_json(record.model_dump(mode="json")) + "\n" for record in ordered)
        write(path, lines.encode(), self.key)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's only writer's place.

        Raises:
            StoreError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a+") as lock:
            if not take(lock):
                lock.seek(0)
                raise StoreError(
                    f"another evaluation (process {lock.read().strip() or 'unknown'}) is writing to this store",
                    where=self.folder,
                    fix="wait for it, or give this one a store of its own with --store DIR",
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def _worse(new: Record, old: Record | None) -> bool:
    return new.status == "infrastructure" and old is not None and old.status != "infrastructure"


def _belongs(record: Record, method: Record | None) -> bool:
    """Whether a record may stand beside the method's record of its cell."""
    if not is_control(record.variant) or method is None:
        return True
    return method.prune_key == record.prune_key and method.status in ("ok", "infrastructure")


def _order(record: Record) -> tuple[Any, ...]:
    target = record.target
    numeric = (0, target, "") if not isinstance(target, str) else (1, 0.0, target)
    return (record.track, record.division, record.variant, record.recipe, numeric, record.seed)


def read_file(path: Path, content: bytes | None = None) -> list[Record]:
    """The records of a file in a store.

    Args:
        content: of the file, where it has been read.

    Raises:
        StoreError: as :func:`read_records`; or a record belongs into another file, or is there twice.
    """
    records = read_records(path, content)
    place = (path.parent.name, path.stem)
    seen: set[Identity] = set()
    for number, record in enumerate(records, 1):
        where, own = f"{path}:{number}", (record.benchmark, record.submission)
        if own != place:
            raise StoreError(f"this is of {'/'.join(own)}, which has a file of its own", where=where, fix=_RESTORE)
        if record.identity in seen:
            raise StoreError("this record is there twice", where=where, fix=_RESTORE)
        seen.add(record.identity)
    return records


def read_records(path: Path, content: bytes | None = None) -> list[Record]:
    """The records of one file, wherever it lies; ``content`` as in :func:`read_file`.

    Raises:
        StoreError: a line is damaged, or of a newer schema than this version reads.
    """
    with path.open("rb") if content is None else io.BytesIO(content) as file:
        return [_parse(line, f"{path}:{number}") for number, line in enumerate(file, 1)]


def _parse(line: bytes, where: str) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        return _parse_older(line, where, error)


def _parse_older(line: bytes, where: str, error: ValidationError) -> Record:
    """The slow path: upgrade an older schema step by step, or explain the damage."""
    try:
        content = json.loads(line)
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError):
        raise StoreError("this line is not a record", where=where, fix=_RESTORE) from None
    if not isinstance(version, int) or version > SCHEMA:
        raise StoreError(
            f"schema version {version!r} is newer than this Espalier reads ({SCHEMA})", where=where, fix="update Espalier"
        )
    if version == SCHEMA:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise StoreError(f"{place}: {problem['msg']}", where=where, fix=_RESTORE)
    while version < SCHEMA:
        content = UPGRADES[version](content)
        version += 1
    try:
        return Record.model_validate(content)
    except ValidationError as later:
        raise StoreError(f"the upgrade failed: {later.errors()[0]['msg']}", where=where, fix=_RESTORE) from None
