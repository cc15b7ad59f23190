"""What a built site says of one method among the others, read from its download `data/summary.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluator.runner.report import Rank

BOARD = ("benchmark", "track", "division", "recipe", "phase")
AXES = ("compression", "speedup")
NEIGHBOURS = 2


def ranks_of(site: Path, slug: str) -> list[Rank]:
    """On every board and axis where the method has a rank; none where the site has no such download."""
    try:
        rows = json.loads((site / "data" / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    methods = [row for row in rows if row["variant"] == "method"]
    mine = [row for row in methods if row["submission"] == slug]
    return [
        rank for row in mine for axis in AXES for rank in _rank(row, [m for m in methods if _board(m) == _board(row)], axis)
    ]


def _board(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in BOARD)


def _rank(row: Mapping[str, Any], board: Sequence[Mapping[str, Any]], axis: str) -> Iterator[Rank]:
    low, high, area = row[f"rank_{axis}_low"], row[f"rank_{axis}_high"], row[f"nauc_{axis}"]
    if low is None or area is None:
        return
    ranked = sorted((m for m in board if m[f"nauc_{axis}"] is not None and m[f"rank_{axis}_low"] is not None),
                    key=lambda m: (-m[f"nauc_{axis}"], m["submission"]))  # fmt: skip
    place = next(number for number, method in enumerate(ranked) if method is row)
    near = [m for m in ranked[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS + 1] if m is not row]
    beside = [(m["submission"], int(m[f"rank_{axis}_low"]), int(m[f"rank_{axis}_high"])) for m in near]
    half = row[f"nauc_{axis}_half"]
    title = f"{row['benchmark']}, {row['track']}, {row['phase']} retraining"
    yield Rank(title, axis, (area, math.nan if half is None else half), int(low), int(high), beside)
