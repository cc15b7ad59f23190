"""Churn from predictions: the counts by hand, the file that keeps them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.artifacts import Artifacts
from evaluator.canonical import digest
from evaluator.churn import Predictions, disagreement, enough
from evaluator.errors import StoreError
from evaluator.records import Audits, Churn, Store

DENSE = {0: np.array([0, 1, 2, 3, 4]), 1: np.array([0, 1, 2, 3, 0]), 2: np.array([0, 1, 2, 0, 0])}
PRUNED = {0: np.array([0, 1, 2, 3, 3]), 1: np.array([0, 0, 0, 0, 0]), 2: np.array([0, 1, 2, 0, 0])}


def figure(**changes: Any) -> Churn:
    """A figure of three pruned and three dense networks on five images."""
    content = {
        "benchmark": "digits-mlp", "submission": "lamp", "track": "one-shot", "division": "unstructured", "recipe": "r",
        "device_class": "cpu", "target": "8", "phase": "after", "images": 5, "between": 10, "within": 4, "own": 4,
        "pruned": {seed: digest(["pruned", seed]) for seed in range(3)},
        "dense": {seed: digest(["dense", seed]) for seed in range(3)},
    }  # fmt: skip
    return Churn.model_validate(content | changes)


def test_disagreement_by_hand() -> None:
    """Pairs of two seeds, own seed apart: 0-1 1, 0-2 2, 1-0 4, 1-2 2, 2-0 2, 2-1 1; dense 0-1 1, 0-2 2, 1-2 1."""
    assert disagreement(PRUNED, DENSE) == (1 + 2 + 4 + 2 + 2 + 1, 1 + 2 + 1, 1 + 3 + 0)


def test_churn_in_percent_by_hand() -> None:
    """12 of 6 pairs x 5 images, minus 4 of 3 pairs x 5 images; own seed 4 of 3 pairs x 5 images."""
    found = figure(**disagreement(PRUNED, DENSE)._asdict())
    assert found.against_dense == pytest.approx(40)
    assert found.among_dense == pytest.approx(100 * 4 / 15)
    assert found.churn == pytest.approx(40 - 100 * 4 / 15)
    assert found.own_seed == pytest.approx(100 * 4 / 15)


def test_dense_networks_have_no_churn_against_themselves() -> None:
    between, within, own = disagreement(DENSE, DENSE)
    assert (between, own) == (2 * within, 0)
    assert figure(between=between, within=within, own=own).churn == 0


def test_a_population_may_lack_a_seed() -> None:
    """One pruned seed against three dense ones: two pairs; a seed without its dense network has no own pair."""
    between, within, own = disagreement({5: PRUNED[0]}, DENSE)
    found = figure(pruned={5: digest(5)}, between=between, within=within, own=own)
    assert (between, own, found.pairs, found.own_seed) == (1 + 1 + 2, 0, (3, 3, 0), None)


def test_two_dense_networks_are_needed() -> None:
    assert enough({0: ""}, {0: "", 1: ""})
    assert not enough({0: ""}, {0: ""})
    assert not enough({}, {0: "", 1: ""})


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=4, max_size=4))
def test_counts_are_always_possible(labels: list[list[int]]) -> None:
    """No prediction makes a figure that is then refused; churn lies within -100 and 100 percent."""
    pruned, dense = (dict(enumerate(map(np.array, half))) for half in (labels[:2], labels[2:]))
    digests = {"pruned": {0: digest(0), 1: digest(1)}, "dense": {0: digest(2), 1: digest(3)}, "images": 4}
    assert -100 <= figure(**digests, **disagreement(pruned, dense)._asdict()).churn <= 100


def test_predictions_come_back_as_they_were_stored(tmp_path: Path) -> None:
    """One byte an image up to 256 classes, two beyond; what is not here or not whole is left out."""
    artifacts = Artifacts(tmp_path)
    few, many = artifacts.add(bytes([3, 0, 255])), artifacts.add(np.array([3, 0, 999], dtype="<i2").tobytes())
    torn = artifacts.add(b"torn")
    artifacts.path(torn).write_bytes(b"tor")
    predictions = Predictions(artifacts)
    found = predictions.of({0: few, 1: torn, 2: "ab" * 32}, images=3, classes=10)
    assert {seed: labels.tolist() for seed, labels in found.items()} == {0: [3, 0, 255]}
    assert predictions.of({7: many}, images=3, classes=1000)[7].tolist() == [3, 0, 999]


def test_predictions_of_another_number_of_images_are_refused(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    sha256 = artifacts.add(b"1234")
    with pytest.raises(StoreError, match="4 bytes cannot be the predictions of 3 images"):
        Predictions(artifacts).of({0: sha256}, images=3, classes=10)


def test_figures_are_kept_beside_the_records_and_the_store_does_not_see_them(tmp_path: Path) -> None:
    """Sorted canonical lines, whatever the order; without figures the file goes."""
    audits, figures = Audits(tmp_path), [figure(target="8"), figure(target="2"), figure(target="2", phase="before")]
    audits.write("digits-mlp", "lamp", figures)
    first = audits.path("digits-mlp", "lamp").read_bytes()
    assert list(audits) == sorted(figures, key=lambda one: one.place)
    assert list(Store(tmp_path)) == []
    audits.write("digits-mlp", "lamp", reversed(figures))
    assert audits.path("digits-mlp", "lamp").read_bytes() == first
    audits.write("digits-mlp", "lamp", [])
    assert list(audits) == []


def line(**changes: Any) -> str:
    return json.dumps(figure().model_dump(mode="json") | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this line is no audit"),
        ("{", "this line is no audit"),
        ("[1]", "this line is no audit"),
        ("\xff", "this line is no audit"),
        ("[" * 100_000, "this line is no audit"),
        (line(between=31), "between: more images than its 6 pairs have"),
        (line(within=-1), "within"),
        (line(images=0), "images"),
        (line(images=10**400), "images"),
        (line(phase="later"), "phase"),
        (line(dense={"0": digest(0)}), "two dense networks"),
        (line(pruned={}), "two dense networks"),
        (line(pruned={"0": "../../etc/passwd"}), "pruned.0"),
        (line(submission="random"), "which has a file of its own"),
        (line() + "\n" + line(), "there twice"),
        (line(schema_version=2), "newer Espalier"),
        (line(schema_version="two"), "schema_version"),
        (line(churn=5.0), "churn"),
    ],
)
def test_a_damaged_file_is_refused_with_place_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    audits = Audits(tmp_path)
    path = audits.path("digits-mlp", "lamp")
    path.parent.mkdir(parents=True)
    path.write_bytes((text + "\n").encode("latin-1"))
    with pytest.raises(StoreError, match=message) as raised:
        list(audits)
    assert raised.value.where is not None
    assert raised.value.where.startswith(f"{path}:")
    assert raised.value.fix
