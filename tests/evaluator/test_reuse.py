"""What was measured stands for whoever keeps the same weights: which of it counts, and what a record says of two places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.messages import Measurement
from evaluator.records import AllowedSigners, Record, SigningKey, Store
from evaluator.records.soundness import contradictions, unpublishable
from evaluator.repository import Repository
from evaluator.reuse import measured_before
from evaluator.sentinels import elsewhere
from evaluator.setting import Setting
from tests.evaluator.grids import GRID
from tests.keys import allow, line, make_key
from tests.miniature import ROOT

BENCHMARK = "mnist-lenet-5"
FIRST = "Another Processor"

Change = Callable[[Record], Record]


@pytest.fixture(scope="module")
def record() -> Record:
    """One of a method that stands in this checkout."""
    records = Store(ROOT / "results").read(BENCHMARK, "lamp").values()
    return next(one for one in records if (one.status, one.variant) == ("ok", "method"))


@pytest.fixture
def setting(tmp_path: Path, record: Record) -> Setting:
    repository = Repository(tmp_path)
    stores = Store(repository.published), Store(repository.local)
    return Setting(repository, GRID, record.environment, tmp_path / "pycache", "cpu", reuse=stores)


def moved(record: Record, **environment: Any) -> Record:
    return record.model_copy(update={"environment": record.environment.model_copy(update=environment)})


def other(record: Record, **fields: Any) -> Record:
    return record.model_copy(update={"submission": "erk", **fields})


def test_what_is_published_of_a_submission_counts_wherever_it_was_measured(record: Record, setting: Setting) -> None:
    there = moved(record, device=FIRST)
    setting.reuse[0].add([there])
    found = measured_before("lamp", BENCHMARK, setting)
    assert found == {record.score_key: Measurement.of(there)}
    assert found[record.score_key].environment == there.environment


def test_what_is_published_goes_before_what_was_measured_here(record: Record, setting: Setting) -> None:
    there, here = moved(record, device=FIRST), other(record)
    setting.reuse[0].add([there])
    setting.reuse[1].add([here])
    assert measured_before("lamp", BENCHMARK, setting)[record.score_key].environment.device == FIRST
    assert measured_before("dense", BENCHMARK, setting) == {record.score_key: Measurement.of(here)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: other(moved(r, device=FIRST)), id="another submission"),
        pytest.param(lambda r: moved(r, device_class="nvidia-h200"), id="another class of device"),
        pytest.param(lambda r: moved(r, device=FIRST, sandbox="none"), id="without a sandbox"),
        pytest.param(lambda r: moved(r, torch="1.0"), id="torch that is not accepted"),
        pytest.param(lambda r: moved(r.model_copy(update={"artifact": "0" * 64}), device=FIRST), id="not sound"),
        pytest.param(lambda r: moved(r.model_copy(update={"counts": None}), device=FIRST), id="without counts"),
    ],
)
def test_what_could_not_be_published_today_counts_for_nothing(record: Record, setting: Setting, change: Change) -> None:
    setting.reuse[0].add([change(record)])
    assert measured_before("lamp", BENCHMARK, setting) == {}


def test_what_is_not_published_counts_where_it_was_measured(record: Record, setting: Setting) -> None:
    setting.reuse[1].add([moved(record, device=FIRST)])
    assert measured_before("lamp", BENCHMARK, setting) == {}
    setting.reuse[1].add([record])
    assert measured_before("lamp", BENCHMARK, setting) == {record.score_key: Measurement.of(record)}


@pytest.mark.usefixtures("ssh_keygen")
def test_where_signers_are_named_only_what_they_signed_counts(
    record: Record, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever environment it says that it was measured."""
    key, folder = make_key(tmp_path / "keys"), setting.repository.published
    signers = AllowedSigners(allow(folder, line(key)))
    there = moved(record, device=FIRST)
    Store(folder, SigningKey(key, signers)).add([there])
    assert measured_before("lamp", BENCHMARK, setting)
    with monkeypatch.context() as nowhere:
        nowhere.setenv("PATH", str(tmp_path))
        assert not measured_before("lamp", BENCHMARK, setting), "without ssh-keygen nothing is known to be signed"
    for forged in (there, record):
        setting.reuse[0].add([forged.model_copy(update={"created": "2026-01-01T00:00:00+00:00"})])
        assert not measured_before("lamp", BENCHMARK, setting)


def test_where_masks_were_made_is_judged_like_where_they_were_measured(record: Record) -> None:
    def pruned(**environment: Any) -> Record:
        return record.model_copy(update={"pruned_in": record.environment.model_copy(update=environment)})

    assert not list(unpublishable(pruned(device=FIRST), GRID))
    assert not list(contradictions(pruned(device=FIRST)))
    assert list(unpublishable(pruned(sandbox="none"), GRID)) == ["it was measured without a sandbox"]
    assert list(unpublishable(pruned(device_class="nvidia-h200"), GRID)) == [
        "it was measured on nvidia-h200, the tier publishes cpu only"
    ]
    assert "says that these are two places" in "".join(contradictions(pruned()))
    dense = pruned(device=FIRST).model_copy(update={"submission": "dense", "variant": "dense"})
    assert "measured elsewhere can only be what is ok and was pruned" in list(contradictions(dense))


def test_a_benchmark_was_last_at_work_where_its_newest_masks_were_made(record: Record, tmp_path: Path) -> None:
    first = record.environment.model_copy(update={"device": FIRST})
    store = Store(tmp_path)
    store.add([record.model_copy(update={"environment": first, "pruned_in": record.environment})])
    assert elsewhere(store, BENCHMARK, record.environment) == []
    assert elsewhere(store, BENCHMARK, first) == [f"device: {record.environment.device} -> {FIRST}"]
