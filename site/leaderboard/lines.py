"""The records of a file as lines of CSV and of JSON. Each distinct value is written once: most columns have few."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from leaderboard.rows import Packed, unpacked

_QUOTED = re.compile('[,"\r\n]')
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def as_csv(packed: Packed) -> list[str]:
    """A line for each row; lists as their members with spaces between."""
    return [",".join(cells) + "\n" for cells in _written(packed, [_cell] * len(packed))]


def as_json(packed: Packed, names: Sequence[str]) -> list[str]:
    """An object for each row, with the names of the columns."""
    return ["{" + ", ".join(cells) + "}" for cells in _written(packed, [_member(name) for name in names])]


def _written(packed: Packed, ways: Sequence[Callable[[Any], str]]) -> Iterator[tuple[str, ...]]:
    texts = [([way(value) for value in values], at) for way, (values, at) in zip(ways, packed, strict=True)]
    return zip(*unpacked(texts), strict=True)


def _member(name: str) -> Callable[[Any], str]:
    head = f"{_encode(name)}: "
    return lambda value: head + _text(value)


def _text(value: Any) -> str:
    """As JSON; the encoder takes ten times as long to begin with a number as to write it."""
    if value is None:
        return "null"
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return _encode(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    text = value if isinstance(value, str) else " ".join(map(str, value))
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
