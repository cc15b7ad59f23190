"""What became of published figures: a line for each that another measurement of the same cell replaced, with both and why.

Beside the records, in ``changes/<benchmark>/<submission>.jsonl``: canonical lines, the oldest first, only ever added to.
Git has all of it too, but whoever reads the site has no git, and nor has what builds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.canonical import digest
from evaluator.errors import StoreError
from evaluator.grid import Cell
from evaluator.grid.cells import Division, Track
from evaluator.grid.schema import Digest
from evaluator.records.keys import stale_reasons
from evaluator.records.lines import as_lines, read_lines
from evaluator.records.record import Environment, Record, Status, Variant, is_control
from evaluator.records.signatures import SigningKey, write

SCHEMA: Literal[1] = 1
FOLDER = "changes"

WHERE = ("device_class", "device", "torch", "cuda", "driver", "espalier")
"""What of an environment could change a figure."""

_FIX = "restore the file from git"
_TAKEN_OUT = "measured again, after the record of before was taken out"

Identity = tuple[str, str, str, Cell]
Count = Annotated[int | None, Field(ge=0)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(Part):
    """What one measurement said: parameters and multiply-accumulates kept, images of the test set that are right."""

    status: Status
    kept: Count = None
    effective: Count = None
    macs_kept: Count = None
    before: Count = None
    after: Count = None
    images: Count = None

    @classmethod
    def of(cls, record: Record) -> Figures:
        counts, before, after = record.counts, record.before, record.after
        scored = after or before
        return cls(
            status=record.status,
            kept=counts.kept if counts else None,
            effective=counts.effective if counts else None,
            macs_kept=counts.macs_kept if counts else None,
            before=before.correct if before else None,
            after=after.correct if after else None,
            images=scored.images if scored else None,
        )


class Measured(Part):
    """A measurement: its figures, when they were made, and the keys of what they rest on."""

    figures: Figures
    created: Annotated[
        str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$", description="UTC, ISO 8601")
    ]
    prune_key: Digest
    score_key: Digest | None = None

    @classmethod
    def of(cls, record: Record) -> Measured:
        key = {"prune_key": record.prune_key, "score_key": record.score_key}
        return cls(figures=Figures.of(record), created=record.created, **key)


class Change(Part):
    """One figure that was replaced."""

    schema_version: Literal[1] = SCHEMA
    benchmark: str
    submission: str
    variant: Variant
    track: Track
    division: Division
    target: float | str
    seed: int
    recipe: str
    old: Measured
    new: Measured
    reasons: Annotated[list[str], Field(min_length=1, description="in words")]

    @classmethod
    def between(cls, old: Measured, new: Record, reasons: list[str]) -> Change:
        place = new.cell._asdict() | {name: getattr(new, name) for name in ("submission", "variant", "recipe")}
        return cls(**place, old=old, new=Measured.of(new), reasons=reasons)

    @property
    def cell(self) -> Cell:
        return Cell(self.benchmark, self.track, self.division, self.target, self.seed)

    @property
    def identity(self) -> Identity:
        """That of both records."""
        return (self.submission, self.variant, self.recipe, self.cell)


def reasons(old: Record, new: Record) -> list[str]:
    """Why the same cell was measured again: what it rests on, or where it was measured; in words."""
    found = stale_reasons(old.inputs, new.inputs, control=is_control(new.variant))
    found += moves(old.environment, new.environment)
    return found or ["measured again, with everything else as it was"]


def moves(old: Environment, new: Environment) -> list[str]:
    """What differs between two environments, in words."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in WHERE)
    return [f"{name.replace('_', ' ')}: {was or 'none'} -> {now or 'none'}" for name, was, now in pairs if was != now]


def place(environment: Environment) -> str:
    """A digest of what of an environment could change a figure; the same for two between which nothing ``moves``."""
    return digest([getattr(environment, name) for name in WHERE])


def replaces(old: Record, new: Record) -> bool:
    """Whether one is another measurement of the same thing: a control of other masks is another control."""
    measured = "infrastructure" not in (old.status, new.status)
    return measured and (not is_control(new.variant) or old.prune_key == new.prune_key)


class Changes:
    """The changes in the folder of a store; ``key`` signs every file that is written."""

    def __init__(self, folder: Path, key: SigningKey | None = None) -> None:
        self.folder = folder
        self.key = key

    def path(self, benchmark: str, submission: str) -> Path:
        return self.folder / FOLDER / benchmark / f"{submission}.jsonl"

    def __iter__(self) -> Iterator[Change]:
        """Every one, in a fixed order. Raises StoreError where a file is damaged."""
        for path in sorted((self.folder / FOLDER).glob("*/*.jsonl")):
            yield from self.read(path.parent.name, path.stem)

    def read(self, benchmark: str, submission: str) -> list[Change]:
        """Those of one file, the oldest first; none when there is no file.

        Raises:
            StoreError: a line is damaged, of a newer schema, or in the wrong file.
        """
        found = []
        for where, change in read_lines(self.path(benchmark, submission), Change, "change", _FIX):
            if (change.benchmark, change.submission) != (benchmark, submission):
                what = f"this is of {change.benchmark}/{change.submission}, which has a file of its own"
                raise StoreError(what, where=where, fix=_FIX)
            found.append(change)
        return found

    def note(self, benchmark: str, submission: str, old: Mapping[Identity, Record], new: Iterable[Record]) -> None:
        """Add what ``new`` records are about to change, before they are written.

        A kill between the two leaves a line of what has not come to pass; it goes when the cell is measured again.
        """
        known = self.read(benchmark, submission)
        latest = {change.identity: change for change in known}
        lines = list(known)
        for record in new:
            last, before = latest.get(record.identity), old.get(record.identity)
            if before is None:
                if last is not None and not follows(last, record):
                    lines.append(Change.between(last.new, record, [_TAKEN_OUT]))
            elif replaces(before, record):
                if last is not None and not follows(last, before):
                    lines.remove(last)
                if Figures.of(before) != Figures.of(record):
                    lines.append(Change.between(Measured.of(before), record, reasons(before, record)))
        if lines != known:
            write(self.path(benchmark, submission), as_lines(lines), self.key)


def follows(last: Change, record: Record) -> bool:
    """Whether a record has the figures that the last change of its cell ended with."""
    if is_control(last.variant) and last.new.prune_key != record.prune_key:
        return True  # a control of other masks
    return last.new.figures == Figures.of(record)
