"""Estimates of how long networks take."""

from __future__ import annotations

from evaluator.grid import Cell
from evaluator.pace import Pace
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


def test_a_network_takes_what_its_like_took() -> None:
    """The median of all methods, at the same target where there is one."""
    assert KNOWN.seconds("new", cell(4.0), ["scratch-b"]) == 500
    assert KNOWN.seconds("new", cell(2.0), ["scratch-b"]) == 200
    assert KNOWN.seconds("new", cell(8.0), ["scratch-b"]) == 400, "of all targets"
    assert KNOWN.seconds("new", cell(8.0, "iterative"), ["scratch-b"]) == 400


def test_pruning_takes_what_it_took_this_method() -> None:
    assert KNOWN.seconds("a", cell(2.0), ["method"]) == 20 + 7
    assert KNOWN.seconds("new", cell(2.0), ["method"]) == 20 + 5, "or the others"
    assert KNOWN.seconds("new", cell(2.0, "iterative"), ["method"]) == 20
    assert KNOWN.seconds("a", cell(2.0), ["method", "scratch-b"]) == 227


def test_without_anything_measured_there_is_no_estimate() -> None:
    assert Pace([]).seconds("a", cell(2.0), ["method"]) is None
    assert KNOWN.seconds("a", cell(2.0), ["matched-random"]) == 200, "whatever was measured"
