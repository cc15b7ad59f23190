"""Networks that the scorer trains side by side: each as alone, and in smaller parties where memory is short."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from evaluator import evaluation, scorer
from evaluator.admission import Artifact
from evaluator.evaluation import Bench, Candidate
from evaluator.expectation import Expectation
from evaluator.grid import Cell
from evaluator.grid.schema import GpuForm
from evaluator.messages import Measurement, Reply, Request, Todo
from evaluator.repository import Repository
from evaluator.selection import keep_top_globally
from tests.evaluator.grids import GRID
from tests.sandbox.arena import ROOT

CELL = Cell("digits-mlp", "one-shot", "unstructured", 8.0, 0)
REPOSITORY = Repository(ROOT)
EXACT = ("counts", "before", "after", "trainability", "retraining_epochs")


def score(number: int, cohort_size: int, form: GpuForm = "streams") -> list[Reply]:
    """Of ``number`` networks that keep different weights."""
    bench = Bench(REPOSITORY, GRID, CELL.benchmark, torch.device("cpu"))
    bench.cohort_size = cohort_size
    bench.training_form = form
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


def test_in_a_wide_network_they_get_what_they_get_alone() -> None:
    """But for rounding; and it is told in the record."""
    fused, alone = score(5, 5, "fused"), score(5, 1)
    for one, other in zip(fused, alone, strict=True):
        mine, theirs = one.measurement, other.measurement
        assert mine is not None
        assert theirs is not None
        assert mine.after is not None
        assert theirs.after is not None
        assert mine.before == theirs.before
        assert mine.after.loss == pytest.approx(theirs.after.loss, rel=1e-4)
        assert abs(mine.after.correct - theirs.after.correct) <= 1
        assert mine.log == "trained as one of 5 networks in a wide one"
        assert theirs.log == ""


def test_a_wide_network_that_is_too_large_for_the_memory_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did to its networks until then is forgotten."""
    usual, evaluate = exact(score(8, 4, "fused")), scorer.evaluate

    def little_memory(bench: Bench, cohort: list[Candidate]) -> list[Measurement]:
        measured = evaluate(bench, cohort)
        if len(cohort) > 4:
            raise torch.OutOfMemoryError
        return measured

    monkeypatch.setattr(scorer, "evaluate", little_memory)
    assert exact(score(8, 8, "fused")) == usual


def test_a_network_is_scored_in_another_memory_format_and_stays_in_its_own() -> None:
    cell = CELL._replace(benchmark="digits-cnn")
    bench = Bench(REPOSITORY, GRID, cell.benchmark, torch.device("cpu"))
    model = bench.start(cell)
    usual = bench.score(model)
    bench.scoring_format = torch.channels_last
    layouts = [parameter.stride() for parameter in model.parameters()]
    other = bench.score(model)
    assert other.correct == usual.correct
    assert other.loss == pytest.approx(usual.loss, rel=1e-5)
    assert [parameter.stride() for parameter in model.parameters()] == layouts


def test_what_waits_is_measured_before_the_next_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped has whole cells of the first seeds, not something of all."""
    cohorts: list[list[int]] = []

    def note(bench: Bench, cohort: list[Candidate]) -> list[Measurement]:
        cohorts.append([candidate.cell.seed for candidate in cohort])
        return [Measurement(counts=candidate.counts) for candidate in cohort]

    monkeypatch.setattr(evaluation, "cohort_size", lambda *_: 2)
    monkeypatch.setattr(scorer, "evaluate", note)
    expectation = Expectation(REPOSITORY, GRID)
    todo = []
    for target, seed in itertools.product((2.0, 4.0, 8.0), (0, 1)):
        cell = CELL._replace(target=target, seed=seed)
        bench = Bench(REPOSITORY, GRID, cell.benchmark, torch.device("cpu"))
        scores = {i: weight.detach().abs() for i, weight in bench.weights(bench.start(cell)).items()}
        outcome = tmp_path / f"{target}-{seed}"
        outcome.write_bytes(Artifact(keep_top_globally(scores, GRID.keep(cell))).save())
        todo.append(Todo(cell=cell, inputs=expectation.inputs(None, cell), outcome=outcome, variants=("method",)))
    request = Request(root=ROOT, benchmark=CELL.benchmark, recipe=None, device="cpu", todo=todo, known={})
    assert len(list(scorer.serve(request, torch.device("cpu")))) == 6
    assert cohorts == [[0, 0], [0], [1, 1], [1]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("where", ["evaluate", "build"])
def test_one_network_that_does_not_fit_is_a_failure_of_its_own(alone, monkeypatch, error: Exception, where: str) -> None:
    """The others of its cohort are measured as if it had not been there."""
    built: list[Candidate] = []

    def evaluate_some(bench: Bench, cohort: list[Candidate]) -> list[Measurement]:
        if where == "evaluate" and any(candidate is built[0] for candidate in cohort):
            raise error
        return evaluate(bench, cohort)

    def build_some(candidate: Candidate, bench: Bench) -> None:
        built.append(candidate)
        if where == "build" and candidate is built[0]:
            raise error
        build(candidate, bench)

    evaluate, build = scorer.evaluate, Candidate.build
    monkeypatch.setattr(scorer, "evaluate", evaluate_some)
    monkeypatch.setattr(Candidate, "build", build_some)
    first, *others = score(3, 3)
    assert (first.status, first.measurement and first.measurement.after, first.score_key) == ("out_of_memory", None, None)
    assert first.artifact in alone
    assert first.reason is not None
    assert type(error).__name__ in first.reason
    assert exact(others) == {name: figures for name, figures in alone.items() if name != first.artifact}


def test_another_error_is_raised(monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(scorer, "evaluate", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        score(1, 1)
