"""What the coordinator and the scorer say to each other, one JSON line each. No PyTorch here."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from evaluator.grid import Cell
from evaluator.records import Counts, Environment, Inputs, Latency, Record, Score, Status, Variant


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(Message):
    """What was measured of one artifact; only its counts when it misses the target."""

    counts: Counts
    before: Score | None = None
    after: Score | None = None
    trainability: float | None = None
    latency: list[Latency] = []
    log: str = ""
    """What is missing and why, a line each."""
    retraining_seconds: float = 0
    retraining_epochs: int = 0
    scoring_seconds: float = 0
    environment: Environment | None = None
    """Where it was measured; None for here and now."""

    @classmethod
    def of(cls, record: Record) -> Measurement:
        """What a record says, to be used again under the same score key."""
        assert record.counts is not None
        return cls(
            counts=record.counts,
            before=record.before,
            after=record.after,
            trainability=record.trainability,
            latency=record.latency,
            retraining_seconds=record.cost.retraining_seconds,
            retraining_epochs=record.cost.retraining_epochs,
            scoring_seconds=record.cost.scoring_seconds,
            environment=record.environment,
        )


class Todo(Message):
    """One cell to score: the file that the sandbox wrote (None for the dense control), and which variants are wanted."""

    cell: Cell
    inputs: Inputs
    outcome: Path | None
    variants: tuple[Variant, ...]


class Request(Message):
    root: Path
    benchmark: str
    recipe: str | None
    """An alternative to the benchmark's retraining recipe."""
    device: str
    todo: list[Todo]
    known: dict[str, Measurement]
    """Score key -> what was measured before under that key; such an artifact is not scored twice."""


class Reply(Message):
    cell: Cell
    variant: Variant
    status: Status
    reason: str | None = None
    artifact: str | None = None
    score_key: str | None = None
    measurement: Measurement | None = None


class Ended(Message):
    """No more replies to this request: the process that answered it has ended with this code."""

    code: int
