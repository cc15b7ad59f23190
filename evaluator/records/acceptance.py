"""What a maintainer accepted: sentinels that deviate in an environment, and why what is measured there is published anyway.

In ``accepted.jsonl`` among the published records, a canonical line each, the oldest first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.records.changes import moves
from evaluator.records.lines import as_lines, read_lines
from evaluator.records.record import Environment
from evaluator.records.signatures import SigningKey, write

SCHEMA: Literal[1] = 1
FILE = "accepted.jsonl"


class Acceptance(BaseModel):
    """Deviations of the sentinels, each in words, in one environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA
    created: Annotated[str, Field(description="UTC, ISO 8601")]
    environment: Environment
    deviations: Annotated[list[str], Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1, max_length=500, description="why this is no fault of the machine's")]


def acceptances(folder: Path) -> list[Acceptance]:
    """All of a store, the oldest first. Raises StoreError where a line is damaged."""
    return [one for _, one in read_lines(folder / FILE, Acceptance, "acceptance", "restore the file from git")]


def accepted(folder: Path, environment: Environment) -> set[str]:
    """The deviations that were accepted in an environment."""
    return {line for one in acceptances(folder) if not moves(one.environment, environment) for line in one.deviations}


def accept(folder: Path, one: Acceptance, key: SigningKey | None = None) -> None:
    """Add a line."""
    write(folder / FILE, as_lines([*acceptances(folder), one]), key)
