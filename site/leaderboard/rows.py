"""Records as rows of one table: tuples with the names of the columns, None where a record has no value.

A row holds what many pages ask of all records. The rest is read again where somebody asks for it, a file at a time: of half
a million records it would fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from evaluator.grid.cells import Division, Track
from evaluator.records import Inputs, Record, Status, Variant
from evaluator.records.record import SandboxKind
from leaderboard.columns import COLUMNS, LOG, Column

if TYPE_CHECKING:
    import pandas as pd

Values = tuple[Any, ...]
"""Of one record in all columns, in their order."""
Packed = list[tuple[list[Any], list[int] | None]]
"""Of each column its distinct values, and which of them each row has; or its values as they come."""

_ALL = (*COLUMNS, LOG)
NAMES = tuple(column.name for column in _ALL)
INPUTS = tuple(name if name.endswith("_protocol") else f"input_{name}" for name in Inputs.model_fields)
"""Columns of what a record rests on, in the order of ``Inputs``; a row holds them as one tuple, which many rows share."""
AT_HAND = 8
"""Files whose rows are at hand whole: who looks at one row mostly looks at its neighbours next."""
_PLACES = {name: place for place, name in enumerate(NAMES)}


class File:
    """Where rows are from. ``source``: the digest of its content and of our code; ``load`` reads all columns again."""

    def __init__(self, source: str, load: Callable[[], Packed]) -> None:
        self.source = source
        self.load = load


class _Held(NamedTuple):
    """The columns that a row holds itself, then what it is besides."""

    benchmark: str
    track: Track
    division: Division
    target: str
    seed: int
    submission: str
    variant: Variant
    recipe: str
    status: Status
    reason: str | None
    images: int | None
    before_accuracy: float | None
    after_accuracy: float | None
    compression: float | None
    effective_compression: float | None
    speedup: float | None
    collapsed: bool | None
    artifact: str | None
    pruning_seconds: float
    pruning_epochs: float
    pruning_memory_mb: float | None
    retraining_seconds: float
    device_class: str
    torch: str
    pruned_torch: str | None
    sandbox: SandboxKind
    created: str
    cell: str

    inputs: Values
    origin: str
    before: bool
    """Whether it is of the version before."""
    file: File
    at: int
    """Its place in the file."""


HELD = tuple(name for name in _Held._fields if name in _PLACES)
_HELD, _INPUTS = ([_PLACES[name] for name in names] for names in (HELD, INPUTS))


class Row(_Held):
    """A record in the columns."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """A column that it does not hold."""
        if name not in _PLACES:
            raise AttributeError(name)
        return self.whole[_PLACES[name]]

    def accuracy(self, phase: Literal["before", "after"]) -> float | None:
        """Top-1 in percent."""
        return self.before_accuracy if phase == "before" else self.after_accuracy

    @property
    def whole(self) -> Values:
        """Its values in all columns."""
        found: Values = _loaded(self.file)[self.at]
        return found


@lru_cache(maxsize=AT_HAND)
def _loaded(file: File) -> list[Values]:
    return list(zip(*unpacked(file.load()), strict=True))


def height(packed: Packed) -> int:
    """How many rows there are."""
    values, at = packed[0]
    return len(values if at is None else at)


def unpacked(packed: Packed) -> list[list[Any]]:
    """A value for each row."""
    return [[values[i] for i in at] if at is not None else values for values, at in packed]


def _taker(column: Column) -> Callable[[Record], Any]:
    """A whole number in a column of fractions is a fraction."""
    if column.dtype != "float64":
        return column.value

    def value(record: Record) -> float | None:
        found = column.value(record)
        return None if found is None else float(found)

    return value


_TAKERS = tuple(_taker(column) for column in _ALL)


def values(record: Record) -> list[Any]:
    """What a record has in each column, in their order."""
    return [take(record) for take in _TAKERS]


def make(columns: Sequence[Sequence[Any]], origin: str, file: File) -> Iterator[Row]:
    """The rows of a file, of all its columns."""
    if not columns:
        return
    shared: dict[Values, Values] = {}
    inputs = (shared.setdefault(one, one) for one in zip(*(columns[place] for place in _INPUTS), strict=True))
    held = zip(*(columns[place] for place in _HELD), inputs, strict=True)
    for at, row in enumerate(held):
        yield Row._make((*row, origin, False, file, at))


def identity(row: Row) -> tuple[str, str, str, str]:
    """At most one row of a store and version has it."""
    return (row.submission, row.variant, row.recipe, row.cell)


def source_of(row: Row) -> tuple[Any, ...]:
    """What everything about a row follows from."""
    return (row.file.source, *identity(row), row.origin, row.before)


def to_frame(rows: Iterable[Row], columns: Sequence[Column] = _ALL) -> pd.DataFrame:
    """The rows as a typed table, for those who calculate with whole columns."""
    import pandas as pd  # only here: most of a build needs none

    whole = [row.whole for row in rows]
    places = [(column, _PLACES[column.name]) for column in columns]
    data = {
        column.name: pd.Series([row[place] for row in whole], dtype="object" if column.listed else column.dtype)
        for column, place in places
    }
    return pd.DataFrame(data)
