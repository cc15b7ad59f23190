"""What something follows from, as one digest: the name by which what is made of it is kept.

The sources of a part are a value that holds all that it is made from, so that nothing it shows can be forgotten here. A row
stands for its file, its place in it and our code, which decide all its columns; the grid for its digest; a standing for the
records of its board and what it asks of them, which decide its figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from evaluator.canonical import digest
from evaluator.grid import Grid
from evaluator.metadata import Submission
from leaderboard.load import Board
from leaderboard.rows import Row, source_of
from leaderboard.standings import Standing


def source(value: object) -> str:
    """SHA-256 of a value and all that it holds. Raises TypeError where that has a type that is not known here."""
    return digest(_plain(value))


def _plain(value: Any) -> Any:
    """As JSON has it, a list with the name of its type where JSON has no such type."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Row):
        return source_of(value)
    for kind, parts in _PARTS.items():
        if isinstance(value, kind):
            return [kind.__name__, *map(_plain, parts(value))]
    if is_dataclass(value):
        return [type(value).__name__, *(_plain(getattr(value, one.name)) for one in fields(value))]
    raise TypeError(f"nobody knows what a {type(value).__name__} follows from")


_PARTS: dict[type, Callable[[Any], Any]] = {
    float: lambda value: [repr(value)],
    list: list,
    tuple: list,
    Mapping: lambda value: [part for item in value.items() for part in item],
    np.ndarray: lambda value: value.tolist(),
    Standing: lambda value: [value.board, value.frame, value.ranks, value.drop_ranks, value.target_ranks],
    Board: lambda value: [value.key, value.sources, value.dense_source, value.remeasuring],
    Grid: lambda value: [value.digest],
    Submission: lambda value: [value.metadata, value.digest],
    BaseModel: lambda value: [value.model_dump_json()],
}
"""Of each type what decides its values; the first that fits counts."""
