"""Targets beyond the ranked ones: a row of their own on the method's page, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from leaderboard.build import build, gather
from leaderboard.pages.site import board_of

from evaluator.grid import load_grid
from evaluator.records import Store
from evaluator.repository import Repository
from tests.site.synthetic import Plan, fill, make_repository, records

NAME = "mnist-lenet-300-100"
BEYOND = "beyond the ranks"


def made(root: Path, *, stress: bool) -> tuple[Repository, Path]:
    repository = make_repository(root)
    fill(repository, Plan(benchmarks=(NAME,), methods=3))
    if stress:
        first = [
            r
            for r in records(load_grid(repository.grid), Plan(benchmarks=(NAME,), methods=1, stress=True))
            if r.target == 64
        ]
        assert {record.variant for record in first} == {"method", "matched-random", "matched-magnitude"}
        Store(repository.published).add(first)
    return repository, root / "site"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Repository, Path]]:
    """Without and with records at 64x of one method of three."""
    found = {stress: made(tmp_path_factory.mktemp("stress"), stress=stress) for stress in (False, True)}
    for repository, folder in found.values():
        build(repository, folder, snapshots=None)
    return found


def test_a_stress_target_is_a_row_of_the_method_that_was_measured_there(pair) -> None:
    repository, folder = pair[True]
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "methods").glob("*.html")}
    assert [slug for slug, text in pages.items() if BEYOND in text] == ["global-magnitude"]
    text = pages["global-magnitude"]
    (_, standings) = next((board_of(one), one) for one in gather(repository).standings)
    [point] = standings["after"].entry("global-magnitude").stress
    assert point.target.label == "64"
    assert point.accuracy.n == 3
    row = text[text.index(f">{BEYOND}<") :].partition("</tr>")[0]
    assert f"{point.accuracy.mean:.2f}" in row
    assert "counts in no summary figure" in text


def test_no_summary_figure_knows_it(pair) -> None:
    (_, without), (_, beyond) = pair[False], pair[True]
    summary = [pd.read_csv(folder / "data" / "summary.csv") for folder in (without, beyond)]
    assert len(summary[0])
    pd.testing.assert_frame_equal(*summary)
    board = f"benchmarks/{NAME}.html"
    assert (without / board).read_text().split("<footer")[0] == (beyond / board).read_text().split("<footer")[0]
    rows = [pd.read_csv(folder / "data" / "records.csv") for folder in (without, beyond)]
    assert len(rows[1]) == len(rows[0]) + 9, "what was measured is there to be had"
