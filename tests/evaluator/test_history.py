"""What is replaced among the published records: noted with both figures and why, and kept where the grid changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.canonical import digest
from evaluator.errors import StoreError
from evaluator.grid import load_grid
from evaluator.history import broken
from evaluator.records import Change, Changes, Record, Store
from evaluator.records.acceptance import Acceptance, accept, acceptances, accepted
from evaluator.records.previous import previous, published
from evaluator.repository import Repository
from evaluator.verification import verify
from tests.evaluator.test_records import INPUTS, record
from tests.miniature import ROOT

PLACE = ("digits-mlp", "lamp")


def measured(correct: int = 97, *, created: str = "2026-01-02", **changes: Any) -> Record:
    """A good record of a cell, with so many of 100 images right after retraining."""
    half = 50
    score = {"correct": correct, "images": 100, "loss": 0.1, "class_correct": [half, correct - half],
             "class_images": [half, half], "predictions": digest(correct)}  # fmt: skip
    return record(**({"status": "ok", "after": score, "created": f"{created}T00:00:00+00:00"} | changes))


def with_protocol(version: int) -> dict[str, Any]:
    return {"inputs": INPUTS.model_copy(update={"scoring_protocol": version})}


def matched(correct: int = 90, **changes: Any) -> Record:
    return measured(correct, variant="matched-random", **changes)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return published(tmp_path)


def changes(store: Store) -> list[Change]:
    return Changes(store.folder).read(*PLACE)


def told(store: Store) -> list[tuple[int | None, int | None, list[str]]]:
    return [(one.old.figures.after, one.new.figures.after, one.reasons) for one in changes(store)]


def test_a_figure_that_changes_is_noted_with_both_values_and_why(store: Store) -> None:
    store.add([measured(97)])
    assert changes(store) == [], "what is new changes nothing"
    moved = measured(97).environment.model_copy(update={"torch": "2.12.0"})
    store.add([measured(96, created="2026-02-03", environment=moved, **with_protocol(2))])
    (change,) = changes(store)
    assert (change.old.created, change.new.created) == ("2026-01-02T00:00:00+00:00", "2026-02-03T00:00:00+00:00")
    assert told(store) == [(97, 96, ["the scoring protocol changed (1 -> 2)", "torch: 2.11.0 -> 2.12.0"])]


def test_a_status_is_a_figure_and_a_failure_of_the_infrastructure_is_none(store: Store) -> None:
    store.add([measured(97), measured(95, seed=1)])
    store.add([measured(status="timeout", after=None), measured(status="infrastructure", after=None, seed=1)])
    (change,) = changes(store)
    assert (change.old.figures.status, change.new.figures.status) == ("ok", "timeout")
    store.add([measured(97)])
    assert [one.new.figures.status for one in changes(store)] == ["timeout", "ok"]


def test_the_same_figures_measured_again_are_no_change(store: Store) -> None:
    store.add([measured(97)])
    store.add([measured(97, created="2026-05-05", **with_protocol(2))])
    assert changes(store) == []


def test_a_control_of_other_masks_is_another_control(store: Store) -> None:
    store.add([measured(97), matched(90)])
    store.add([matched(91)])
    assert told(store) == [(90, 91, ["measured again, with everything else as it was"])]
    store.add([measured(97, prune_key="b" * 64), matched(80, prune_key="b" * 64)])
    assert len(changes(store)) == 1
    assert list(broken(changes(store), store.read(*PLACE))) == []


def test_a_kill_between_the_change_and_the_record_is_mended(store: Store) -> None:
    """The line came, the record did not; the cell is measured again, to the same figure or back to that of before."""
    store.add([measured(97)])
    Changes(store.folder).note(*PLACE, store.read(*PLACE), [measured(96)])
    assert told(store)[0][:2] == (97, 96)
    assert [what for _, what in broken(changes(store), store.read(*PLACE))] == [
        "the record is not what its last change says"
    ]
    store.add([measured(95)])
    assert [one[:2] for one in told(store)] == [(97, 95)]
    Changes(store.folder).note(*PLACE, store.read(*PLACE), [measured(96)])
    store.add([measured(95)])
    assert [one[:2] for one in told(store)] == [(97, 95)]


def test_a_line_taken_out_by_hand_does_not_hide_what_changed(store: Store) -> None:
    store.add([measured(97)])
    store.add([measured(96)])
    store.path(*PLACE).unlink()
    store.add([measured(90)])
    assert [one[:2] for one in told(store)] == [(97, 96), (96, 90)]
    assert list(broken(changes(store), store.read(*PLACE))) == []


def test_a_local_store_keeps_no_history(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([measured(97)])
    store.add([measured(96, **with_protocol(2))])
    assert list(Changes(tmp_path)) == []
    assert list(previous(tmp_path)) == []


def test_what_the_grid_made_stale_is_kept_until_the_next_change(store: Store) -> None:
    """With its controls, whether they are replaced or go with the masks; what its own code made stale is not."""
    both = [measured(97), measured(95, seed=1), matched(90), matched(89, seed=1)]
    store.add(both)
    store.add([measured(96, **with_protocol(2))])
    assert list(previous(store.folder)) == [both[0]]
    store.add([matched(88, **with_protocol(2))])
    pruned = {"inputs": INPUTS.model_copy(update={"prune_protocol": 2}), "prune_key": "c" * 64}
    store.add([measured(94, seed=1, **pruned)])
    kept = list(previous(store.folder))
    assert {r.identity for r in kept} == {r.identity for r in both}
    assert {r.after.correct for r in kept if r.after} == {97, 95, 90, 89}
    store.add([measured(93, inputs=INPUTS.model_copy(update={"submission": "other"}))])
    assert list(previous(store.folder)) == kept


def test_a_second_change_meanwhile_leaves_the_last_complete_version(store: Store) -> None:
    first = [measured(97, target=target) for target in (2.0, 4.0, 8.0)]
    store.add(first)
    store.add([measured(90, target=2.0, **with_protocol(2))])
    store.add([measured(80, target=2.0, **with_protocol(3))])
    assert list(previous(store.folder)) == first[:1], "that of protocol 2 was never shown"
    store.add([measured(80, target=target, **with_protocol(3)) for target in (4.0, 8.0)])
    assert list(previous(store.folder)) == first
    store.add([measured(70, target=4.0, **with_protocol(4))])
    assert [r.inputs.scoring_protocol for r in previous(store.folder)] == [1, 3, 1]


BREAKS: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("nothing changed", lambda lines: lines[0].update(new=lines[0]["old"])),
    ("more images are right than there are", lambda lines: lines[0]["old"]["figures"].update(after=101)),
    ("it does not begin where the change before it ended", lambda lines: lines[0]["new"]["figures"].update(after=12)),
    ("it does not begin where the change before it ended", lambda lines: lines.reverse()),
    ("the record is not what its last change says", lambda lines: lines.pop()),
    ("the record is not what its last change says", lambda lines: lines[1]["new"].update(score_key="0" * 64)),
]


@pytest.mark.parametrize(("problem", "how"), BREAKS)
def test_a_history_that_cannot_be_true_is_found(store: Store, problem: str, how: Callable[..., object]) -> None:
    for correct in (97, 96, 95):
        store.add([measured(correct)])
    lines = [change.model_dump(mode="json") for change in changes(store)]
    assert list(broken(changes(store), store.read(*PLACE))) == []
    how(lines)
    assert problem in [what for _, what in broken([Change.model_validate(line) for line in lines], store.read(*PLACE))]


def test_damaged_lines_are_named_with_the_remedy(store: Store) -> None:
    store.add([measured(97)])
    store.add([measured(96)])
    path = Changes(store.folder).path(*PLACE)
    good = json.loads(path.read_text())
    for content, complaint in [
        ({"x": 1}, "Field required"),
        (good | {"schema_version": 2}, "a newer Espalier"),
        (good | {"submission": "other"}, "has a file of its own"),
    ]:
        path.write_text(json.dumps(content) + "\n")
        with pytest.raises(StoreError, match=complaint) as caught:
            changes(store)
        assert caught.value.where == f"{path}:1"
        assert caught.value.fix


def test_verify_looks_at_the_history(tmp_path: Path) -> None:
    """At true records, one of which was measured by another protocol before."""
    for folder in ("evaluator", "bases"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    repository, grid = Repository(tmp_path), load_grid(ROOT / "evaluator" / "grid")
    store, true = published(repository.published), Store(ROOT / "results").read("mnist-lenet-300-100", "lamp")
    some = next(r for r in true.values() if r.variant == "method" and r.status == "ok")
    old = some.model_copy(update={"inputs": some.inputs.model_copy(update={"contract": 0}), "status": "timeout"})
    store.add([old])
    store.add([some])
    report = verify(repository, grid)
    assert {problem.where for problem in report.problems} == {"results/previous/mnist-lenet-300-100/lamp.jsonl:1"}
    assert any("the new version is complete" in note.what for note in report.notes)
    (repository.published / "previous" / "mnist-lenet-300-100" / "lamp.jsonl").unlink()
    assert verify(repository, grid).problems == []
    path = Changes(repository.published).path("mnist-lenet-300-100", "lamp")
    path.write_text(path.read_text().replace('"status":"ok"', '"status":"timeout"'))
    problems = {problem.what for problem in verify(repository, grid).problems}
    assert problems == {"nothing changed", "the record is not what its last change says"}
    (repository.published / "accepted.jsonl").write_text("{}\n")
    assert any(problem.where == "results/accepted.jsonl:1" for problem in verify(repository, grid).problems)


def test_what_was_accepted_counts_in_its_environment(tmp_path: Path) -> None:
    here = record().environment
    one = Acceptance(created="2026-01-01", environment=here, deviations=["a", "b"], reason="a new driver")
    accept(tmp_path, one)
    accept(tmp_path, one.model_copy(update={"deviations": ["c"]}))
    assert [line.reason for line in acceptances(tmp_path)] == ["a new driver", "a new driver"]
    assert accepted(tmp_path, here) == {"a", "b", "c"}
    assert accepted(tmp_path, here.model_copy(update={"driver": "580.1"})) == set()
    assert accepted(tmp_path / "nowhere", here) == set()
