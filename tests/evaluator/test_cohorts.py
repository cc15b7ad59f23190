"""Networks that the scorer trains side by side: each as alone, and in smaller parties where memory is short."""

from __future__ import annotations

import pytest
import torch

from evaluator import scorer
from evaluator.admission import Artifact
from evaluator.evaluation import Bench, Candidate
from evaluator.expectation import Expectation
from evaluator.grid import Cell
from evaluator.messages import Measurement, Reply, Todo
from evaluator.repository import Repository
from evaluator.selection import keep_top_globally
from tests.evaluator.grids import GRID
from tests.sandbox.arena import ROOT

CELL = Cell("digits-mlp", "one-shot", "unstructured", 8.0, 0)
REPOSITORY = Repository(ROOT)
EXACT = ("counts", "before", "after", "trainability", "retraining_epochs")


def score(number: int, cohort_size: int) -> list[Reply]:
    """Of ``number`` networks that keep different weights."""
    bench = Bench(REPOSITORY, GRID, CELL.benchmark, torch.device("cpu"))
    bench.cohort_size = cohort_size
    weights = bench.weights(bench.start(CELL))
    queue = scorer._Queue(bench, {})
    inputs = Expectation(REPOSITORY, GRID).inputs(None, CELL)
    replies: list[Reply] = []
    for seed in range(number):
        random = torch.Generator().manual_seed(seed)
        scores = {i: weight.detach().abs() * torch.rand(weight.shape, generator=random) for i, weight in weights.items()}
        todo = Todo(cell=CELL, inputs=inputs, outcome=None, variants=("method",))
        replies += queue.add(todo, "method", Artifact(keep_top_globally(scores, GRID.keep(CELL))))
    return [*replies, *queue.empty()]


def exact(replies: list[Reply]) -> dict[str | None, object]:
    found = {}
    for reply in replies:
        assert reply.measurement is not None
        found[reply.artifact] = [getattr(reply.measurement, name) for name in EXACT]
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str | None, object]:
    return exact(score(3, 1))


def test_a_cohort_that_is_too_large_for_the_memory_is_split(alone: dict[str | None, object], monkeypatch) -> None:
    tried: list[int] = []

    def little_memory(bench: Bench, cohort: list[Candidate]) -> list[Measurement]:
        tried.append(len(cohort))
        if len(cohort) > 1:
            cohort[0].model.get_parameter("linear1.weight").data.zero_()  # it has been worked on by then
            raise torch.OutOfMemoryError
        return evaluate(bench, cohort)

    evaluate = scorer.evaluate
    monkeypatch.setattr(scorer, "evaluate", little_memory)
    assert exact(score(3, 3)) == alone
    assert tried == [3, 1, 2, 1, 1]


def test_side_by_side_as_alone_bit_for_bit(alone: dict[str | None, object]) -> None:
    assert len(alone) == 3
    assert exact(score(3, 3)) == alone


def test_one_network_that_does_not_fit_is_an_error(monkeypatch) -> None:
    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(scorer, "evaluate", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        score(1, 1)
