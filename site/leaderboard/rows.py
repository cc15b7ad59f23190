"""Records as rows of one table: tuples with the names of the columns, None where a record has no value.

A row is all that the site needs of a record, in a fraction of its memory.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from evaluator.records import Record
from leaderboard.columns import COLUMNS, LOG, Column

if TYPE_CHECKING:
    import pandas as pd

Row = Any
"""``Fields``: typing knows no tuple whose names come from a list."""

_ALL = (*COLUMNS, LOG)
NAMES = tuple(column.name for column in _ALL)
Fields: Any = cast(Any, namedtuple)("Fields", (*NAMES, "origin", "before", "source"))
"""The columns; where the record is from, whether it is of the version before, and the digest of its file and our code."""


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


def make(values: Iterable[Any], origin: str, source: str) -> Row:
    """A row of the values of the columns."""
    return Fields(*values, origin, False, source)


def identity(row: Row) -> tuple[str, str, str, str]:
    """At most one row of a store and version has it."""
    return (row.submission, row.variant, row.recipe, row.cell)


def source_of(row: Row) -> tuple[Any, ...]:
    """What everything about a row follows from."""
    return (row.source, *identity(row), row.origin, row.before)


def to_frame(rows: Sequence[Row], columns: Sequence[Column] = _ALL) -> pd.DataFrame:
    """The rows as a typed table, for those who calculate with whole columns."""
    import pandas as pd  # only here: most of a build needs none

    data = {column.name: pd.Series([getattr(row, column.name) for row in rows], dtype=column.dtype) for column in columns}
    return pd.DataFrame(data)
