"""Estimates of how long networks take."""

from __future__ import annotations

from evaluator.grid import Cell
from evaluator.pace import Pace, Work
from evaluator.records import Cost, Record, Variant
from tests.evaluator.test_records import record


def taken(
    slug: str, variant: Variant, target: float, *, scoring: float = 0, pruning: float = 0, status: str = "ok"
) -> Record:
    cost = Cost(pruning_seconds=pruning, retraining_seconds=scoring - 1, scoring_seconds=1)
    return record(submission=slug, variant=variant, target=target, division="structured", cost=cost, status=status)


def cell(target: float, track: str = "one-shot") -> Cell:
    return Cell("digits-mlp", track, "structured", target, 0)  # type: ignore[arg-type]


KNOWN = Pace(
    [
        *(taken("a", "scratch-b", target, scoring=100 * target) for target in (2.0, 4.0)),
        taken("b", "scratch-b", 4.0, scoring=600),
        taken("b", "scratch-b", 4.0, scoring=9999, status="out_of_memory"),
        taken("a", "method", 2.0, scoring=10, pruning=7),
        taken("b", "method", 2.0, scoring=30, pruning=3),
    ]
)


def seconds(pace: Pace, slug: str, cell: Cell, *variants: Variant, epochs: int = 0, own: int = 0) -> float | None:
    return pace.seconds(Work(slug, cell, dict.fromkeys(variants, epochs), own))


def test_a_network_takes_what_its_like_took() -> None:
    """The median of all methods, at the same target where there is one."""
    assert seconds(KNOWN, "new", cell(4.0), "scratch-b") == 500
    assert seconds(KNOWN, "new", cell(2.0), "scratch-b") == 200
    assert seconds(KNOWN, "new", cell(8.0), "scratch-b") == 400, "of all targets"
    assert seconds(KNOWN, "new", cell(8.0, "iterative"), "scratch-b") == 400


def test_pruning_takes_what_it_took_this_method() -> None:
    assert seconds(KNOWN, "a", cell(2.0), "method") == 20 + 7
    assert seconds(KNOWN, "new", cell(2.0), "method") == 20 + 5, "or the others"
    assert seconds(KNOWN, "new", cell(2.0, "iterative"), "method") == 20
    assert seconds(KNOWN, "a", cell(2.0), "method", "scratch-b") == 227


def test_training_that_nobody_has_seen_takes_as_long_as_its_epochs() -> None:
    """Of the evaluator, and of a method: one that trains for hours is no matter of the seconds that another one thinks."""
    cost = Cost(pruning_seconds=0, retraining_seconds=60, retraining_epochs=30, scoring_seconds=4)
    pace = Pace([record(submission="a", variant="method", target=2.0, division="structured", cost=cost, status="ok")])
    assert seconds(pace, "a", cell(2.0), "method", epochs=30) == 64, "as it did"
    assert seconds(pace, "new", cell(2.0, "at-init"), "method", epochs=160) == 160 * 2 + 4
    assert seconds(pace, "new", cell(2.0, "sparse-training"), "method", own=160) == 160 * 2 + 4
    assert seconds(pace, "new", cell(2.0, "iterative"), "method", "matched-random", epochs=30, own=20) == 20 * 2 + 2 * 64
    assert pace.devices == {"cpu"}


def test_without_anything_measured_there_is_no_estimate() -> None:
    assert seconds(Pace([]), "a", cell(2.0), "method", epochs=30, own=20) is None
    assert Pace([]).devices == set()
    assert seconds(KNOWN, "a", cell(2.0), "matched-random") == 200, "whatever was measured"
