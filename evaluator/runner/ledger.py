"""What a runner remembers from pass to pass and can do without: numbers by name, in a file of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from evaluator.canonical import write_atomically


def read_ledger(path: Path) -> dict[str, float]:
    """Empty where the file is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): float(number) for name, number in found.items()} if isinstance(found, dict) else {}


def write_ledger(path: Path, numbers: Mapping[str, float]) -> None:
    """All of it, in this order."""
    write_atomically(path, (json.dumps(numbers, indent=2) + "\n").encode())
