"""Nothing on a GPU meets what was left on the CPU: every method, and the evaluator, on a device that is not there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evaluator.admission import Artifact
from evaluator.evaluation import Bench, Candidate, evaluate
from evaluator.grid import Cell
from evaluator.messages import Measurement
from evaluator.repository import Repository
from evaluator.selection import keep_n_of_m, keep_top_globally
from tests.elsewhere import THERE, elsewhere
from tests.evaluator.grids import GRID
from tests.sandbox.arena import ROOT
from tests.submissions import specimens

TARGETS: dict[str, float | str] = {"unstructured": 4.0, "semi-structured": "2:4", "structured": 2.0}
EXACT = ("before", "after", "trainability")


@pytest.mark.parametrize("slug", specimens.SLUGS)
def test_a_method_leaves_nothing_on_the_cpu(slug: str) -> None:
    """A failure is the error that a GPU would raise: give the new tensor `device=job.device`, or move it with `.to`."""
    with elsewhere():
        assert specimens.outcome_on(THERE, slug)


def test_the_outcome_is_that_of_the_cpu() -> None:
    with elsewhere():
        there = {i: mask.cpu() for i, mask in specimens.outcome_on(THERE, "snip").masks.items()}
    here = specimens.outcome("snip", "plain").masks
    assert all(torch.equal(there[i], here[i]) for i in here)


def measured(device: torch.device, division: str) -> Measurement:
    bench = Bench(Repository(ROOT), GRID, "digits-cnn", device)
    cell = Cell("digits-cnn", "one-shot", division, TARGETS[division], 0)
    scores: dict[int, Tensor] = {i: w.detach().abs().cpu() for i, w in bench.weights(bench.start(cell)).items()}
    if division == "structured":
        artifact = Artifact(channels={g.position: torch.arange(g.size) % 3 > 0 for g in bench.groups})
    elif division == "semi-structured":
        artifact = Artifact({i: keep_n_of_m(score, 2, 4) for i, score in scores.items()})
    else:
        artifact = Artifact(keep_top_globally(scores, GRID.keep(cell)))
    candidate = Candidate("key", cell, "method", bench.count(artifact), artifact)
    candidate.choose_recipe(bench)
    candidate.build(bench)
    return evaluate(bench, [candidate])[0]


@pytest.mark.parametrize("division", TARGETS)
def test_the_evaluator_leaves_nothing_on_the_cpu_either(division: str) -> None:
    with elsewhere():
        there = measured(THERE, division)
    here = measured(torch.device("cpu"), division)
    assert [getattr(there, name) for name in EXACT] == [getattr(here, name) for name in EXACT]
    assert len(there.latency) == 2 * len(here.latency)


def test_what_is_left_on_the_cpu_is_an_error() -> None:
    with elsewhere():
        images = torch.ones(3).to(THERE)
        with pytest.raises(RuntimeError, match="same device"):
            images * torch.ones(3)
        with pytest.raises(RuntimeError, match="generator"):
            torch.rand(3, generator=torch.Generator(), device=THERE)
        with pytest.raises(RuntimeError, match="indices"):
            torch.ones(3)[torch.zeros(1, dtype=torch.int64).to(THERE)]
        assert (images * torch.tensor(2.0)).tolist() == [2, 2, 2]
