"""What is measured where no sentinel was as it was, is not published. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.errors import EspalierError
from evaluator.records import Record, Store
from evaluator.records.changes import place
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.ledger import read_ledger
from evaluator.runner.sentinels import KEPT, Sentinels
from tests.miniature import ROOT
from tests.runner.stage import Lines, Stage

WATCHED = "mnist-lenet-300-100"


@pytest.fixture(scope="module")
def record() -> Record:
    return next(iter(Store(ROOT / "results").read(WATCHED, "lamp").values()))


@pytest.fixture
def a_pass(stage: Stage, tmp_path: Path) -> Callable[[], Sentinels]:
    """Another one of the same runner."""
    stage.sentinels = [f"{WATCHED}/one-shot/unstructured/8/0"]
    path = tmp_path / "sentinels.json"
    return lambda: Sentinels(Repository(tmp_path), path, (), lambda: None, lambda: stage.time)


def moved(record: Record, driver: str) -> Record:
    """The next seed, by another driver."""
    environment = record.environment.model_copy(update={"driver": driver})
    return record.model_copy(update={"seed": record.seed + len(driver), "environment": environment})


def test_only_environments_in_which_they_passed_are_published(
    a_pass: Callable[[], Sentinels], stage: Stage, record: Record, tmp_path: Path, lines: Lines
) -> None:
    """Before the merge or after it; a benchmark of which no sentinel is published has nothing to be compared with."""
    one, two, store = moved(record, "1"), moved(record, "22"), Store(tmp_path / "local")
    free = two.model_copy(update={"benchmark": "digits-mlp"})

    def sifted() -> list[Record]:
        store.add([one, two, free])
        sentinels = a_pass()
        assert sentinels.are_well() is not bool(stage.deviations)
        sentinels.sift(store, ["lamp"])
        return [found for found in (one, two, free) if found in list(store)]

    stage.environments = [place(one.environment)]
    assert sifted() == [one, free]
    assert [line["records"] for line in lines.of("made where no sentinel has passed, so it is measured anew")] == [1]
    stage.environments = [place(two.environment)]
    assert sifted() == [one, two, free], "it is remembered where they passed before"
    stage.deviations = ["random on digits-mlp: its count of parameters or MACs changed"]
    assert sifted() == [one, free], "until they pass there no more"
    (tmp_path / "sentinels.json").write_text("[torn")
    stage.deviations = []
    assert sifted() == [two, free]


def test_what_was_measured_elsewhere_is_vouched_for_where_it_was_pruned(
    a_pass: Callable[[], Sentinels], stage: Stage, record: Record, tmp_path: Path
) -> None:
    """Only what is published is used again elsewhere."""
    here, there = record.environment, moved(record, "22").environment
    kept = record.model_copy(update={"environment": there, "pruned_in": here})
    odd = moved(record, "22").model_copy(update={"environment": here, "pruned_in": there})
    store = Store(tmp_path / "local")
    store.add([kept, odd])
    stage.environments = [place(here)]
    sentinels = a_pass()
    assert sentinels.are_well()
    sentinels.sift(store, ["lamp"])
    assert list(store) == [kept]


def test_they_are_measured_once_a_pass(a_pass: Callable[[], Sentinels], stage: Stage) -> None:
    sentinels = a_pass()
    assert sentinels.are_well()
    assert sentinels.are_well()
    assert stage.asked == ["sentinels"]


def test_what_cannot_be_measured_is_tried_once_a_pass(
    a_pass: Callable[[], Sentinels], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take long, and every change asks."""
    asked: list[object] = []

    def fail(*about: object, **_: object) -> None:
        asked.append(about)
        raise EspalierError("the data are missing")

    monkeypatch.setattr(stages, "ask", fail)
    sentinels = a_pass()
    for _ in range(2):
        with pytest.raises(EspalierError, match="data are missing"):
            sentinels.are_well()
    assert len(asked) == 1


def test_a_few_environments_are_remembered(a_pass: Callable[[], Sentinels], stage: Stage, record: Record) -> None:
    for number in range(KEPT + 2):
        stage.time += 1
        stage.environments = [f"{number}"]
        a_pass().are_well()
    assert sorted(map(int, read_ledger(a_pass().path))) == list(range(2, KEPT + 2))
