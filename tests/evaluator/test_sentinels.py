"""Sentinels: what was published is measured anew, and a deviation is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.records import Score, Store
from evaluator.sentinels import _beyond, deviations
from tests.miniature import MAGNITUDE, ROOT, Miniature


def score(correct: int, images: int = 10_000) -> Score:
    half = images // 2
    return Score(
        correct=correct,
        images=images,
        loss=0.1,
        class_correct=[min(correct, half), max(correct - half, 0)],
        class_images=[half, images - half],
        predictions="0" * 64,
    )


@pytest.mark.parametrize(
    ("was", "now", "beyond"),
    [
        (9300, 9300, False),
        (9300, 9300 + 76, False),  # one standard error at 93 % of 10,000 is 25.5 images
        (9300, 9300 + 77, True),
        (9300, 9300 - 77, True),
        (10_000, 9997, False),  # where all was right, the error of a single image is allowed for
        (10_000, 9996, True),
    ],
)
def test_three_standard_errors_may_be_chance(was: int, now: int, beyond: bool) -> None:
    assert (_beyond(score(was), score(now)) is not None) is beyond


def test_another_number_of_test_images_is_no_chance() -> None:
    assert _beyond(score(93, 100), score(93, 101)) is not None


@pytest.mark.usefixtures("bubblewrap")
def test_measured_anew_and_compared(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    benchmarks = mini.read("benchmarks")
    del benchmarks["digits-cnn"]
    benchmarks["digits-mlp"] |= {"seeds": [0], "targets": {"unstructured": [8]}}
    mini.write("benchmarks", benchmarks)
    mini.submit("global-magnitude", MAGNITUDE)
    mini.submit("random", MAGNITUDE)
    assert mini.json("sentinels") == {"ok": True, "cells": [], "records": 0, "deviations": []}
    mini.run("evaluate", "--publish")
    found = mini.json("sentinels")
    assert (found["ok"], found["deviations"]) == (True, [])
    assert sorted(cell.split("/")[3] for cell in found["cells"]) == ["1", "8", "8"]

    path = mini.root / "results" / "digits-mlp" / "global-magnitude.jsonl"
    path.write_text("".join(json.dumps(spoil(json.loads(line))) + "\n" for line in path.read_text().splitlines()))
    found = mini.json("sentinels", code=1)
    assert any("counts otherwise" in line for line in found["deviations"])
    assert any("right, there were" in line for line in found["deviations"])


def spoil(record: dict[str, Any]) -> dict[str, Any]:
    """As if another machine had measured: one weight more, and a tenth of the images less."""
    if record["variant"] == "method":
        record["counts"]["kept"] += 1
        after = record["after"]
        lost = record["after"]["correct"] // 10
        taken = [min(lost, after["class_correct"][0]), 0]
        taken[1] = lost - taken[0]
        after["class_correct"][0] -= taken[0]
        after["class_correct"][1] -= taken[1]
        after["correct"] -= lost
    return record


def test_what_is_published_does_not_deviate_from_itself() -> None:
    records = list(Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values())
    assert records
    assert deviations(records, records) == []
