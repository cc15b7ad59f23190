"""What a runner does by itself: in which order, within which budget, and what it says of it. Nothing is measured here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evaluator.errors import EspalierError
from evaluator.forges import LocalForge, people
from evaluator.grid import Grid
from evaluator.records import Store
from evaluator.runner import nights
from evaluator.runner.greeting import WALLED
from evaluator.runner.nights import Nights, Step, by_readers, gpus, night_of, steps
from evaluator.runner.runner import HEARTBEAT, Runner
from tests.runner.project import git
from tests.runner.stage import HOUR, MINUTE, NOON, Lines, Stage, cell, propose


def publish(folder: Path, *names: str) -> Store:
    """A store that has such files; what is in them is nobody's question here."""
    for name in names:
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Store(folder)


def test_what_most_readers_see_comes_first(grid: Grid, tmp_path: Path) -> None:
    """A benchmark with methods to compare, ranked, of the latest tier."""
    store = publish(
        tmp_path,
        *(f"digits-mlp/{slug}" for slug in ("a", "b", "c", "dense")),
        *(f"cifar10-jpeg-resnet-20/{slug}" for slug in ("a", "b")),
        *(f"cifar10-resnet-20/{slug}" for slug in ("a", "dense")),
    )
    order = by_readers(grid, store)
    assert sorted(order) == sorted(grid.benchmarks)
    assert order[:2] == ["cifar10-jpeg-resnet-20", "digits-mlp"], "one method alone compares nothing"
    publish(tmp_path, "cifar10-resnet-20/b")
    assert by_readers(grid, store)[0] == "cifar10-resnet-20"


def test_what_is_shown_and_stale_comes_before_what_was_never_there(grid: Grid, tmp_path: Path) -> None:
    store = publish(tmp_path, "mnist-lenet-5/a", "mnist-lenet-5/b", "digits-mlp/a", "digits-mlp/b")
    listed = [
        cell("digits-mlp", "lamp"),
        *[cell("mnist-lenet-5", "snip", "missing")] * 9,
        cell("mnist-lenet-5", "b"),
        *[cell("mnist-lenet-5", "a")] * 2,
        cell("mnist-lenet-5", "waits", todo=()),
        cell("mnist-lenet-5", "dense"),
    ]
    expected = [("mnist-lenet-5", "a"), ("mnist-lenet-5", "b"), ("mnist-lenet-5", "snip"), ("digits-mlp", "lamp")]
    assert steps(grid, store, listed) == [Step(*one) for one in expected]


def test_a_night_is_from_noon_to_noon_and_has_one_budget(tmp_path: Path) -> None:
    ledger = Nights(tmp_path / "nights.json", 4 * HOUR)
    assert (night_of(NOON - 1), night_of(NOON), night_of(NOON + 23 * HOUR)) == ("2026-11-24", "2026-11-25", "2026-11-25")
    ledger.enter(NOON, HOUR)
    ledger.enter(NOON + 14 * HOUR, 2 * HOUR)
    assert ledger.left(NOON + 20 * HOUR) == HOUR
    ledger.enter(NOON + 21 * HOUR, 9 * HOUR)
    assert ledger.left(NOON + 21 * HOUR) == 0
    assert ledger.left(NOON + 24 * HOUR) == 4 * HOUR
    assert json.loads(ledger.path.read_text()) == {"2026-11-25": 12 * HOUR}
    ledger.path.write_text("[torn")
    assert ledger.left(NOON) == 4 * HOUR


def test_only_the_newest_nights_are_kept(tmp_path: Path) -> None:
    ledger = Nights(tmp_path / "nights.json", HOUR)
    for day in range(nights.KEPT + 5):
        ledger.enter(NOON + day * 24 * HOUR, 1)
    kept = json.loads(ledger.path.read_text())
    assert (len(kept), min(kept)) == (nights.KEPT, "2026-11-30")


def test_an_hour_of_two_gpus_is_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "GPUS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus(None) == 1
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert (gpus(None), gpus(1), gpus(8)) == (2, 1, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus(None) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus(None) == 1


def test_a_pass_with_nothing_to_do_says_what_it_looked_at(work: Runner, stage: Stage, lines: Lines) -> None:
    assert work.once()
    (said,) = lines.of("nothing to do")
    assert (said["open_changes"], said["merged_changes"], said["gpu_hours"]) == (0, 0, 0)
    assert "sentinels" not in stage.asked, "they cost time, and nothing is about to be published"
    assert stage.measured == []


def test_the_night_ends_with_its_budget_over_several_passes(work: Runner, stage: Stage, lines: Lines) -> None:
    """Two GPUs for two hours are four GPU-hours: the second step is cut short, the third waits for the next night."""
    stage.cells = [cell("digits-mlp", slug, "missing") for slug in ("b", "a", "c")]
    stage.seconds = 1.5 * HOUR
    assert work.once()
    only = ("--benchmark=digits-mlp", "--here", WALLED)
    assert stage.measured == [("a", *only), ("b", *only)]
    assert stage.committed == ["a", "b"], "what was measured before the end is published"
    assert stage.asked.count("sentinels") == 1, "once a batch"
    assert [(line["submission"], line["gpus"], line["gpu_hours"]) for line in lines.of("spent")] == [
        ("a", 2, 3),
        ("b", 2, 1),
    ]
    assert [(line["night"], line["gpu_hours"], line["budget_hours"]) for line in lines.of("night")] == [
        ("2026-11-25", 3, 4),
        ("2026-11-25", 4, 4),
    ]
    assert [line["waiting"] for line in lines.of("the night's budget is spent")] == [1]
    assert [line["gpu_hours"] for line in lines.of("pass ended")] == [4]
    work.once()
    assert len(stage.measured) == 2
    stage.time += 24 * HOUR
    work.once()
    assert [slug for slug, *_ in stage.measured] == ["a", "b", "c"]


def test_the_night_gives_way_to_what_is_approved_once_a_cell_is_done_and_goes_on_afterwards(
    work: Runner, stage: Stage, project: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    """Once: what was taken up, and could not be measured, does not end the night again."""
    forge = LocalForge(project)
    git(project, "config", "--add", "espalier.maintainer", "maintainer")
    change = propose(forge, project.parent / "author")
    stage.cells = [cell("digits-mlp", "a", "missing"), cell("digits-mlp", "b", "missing")]
    record = work.workspaces.main.local / "digits-mlp" / "a.jsonl"
    looks: list[str] = []

    def write() -> None:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
        os.utime(record, ns=(len(looks), len(looks)))

    steps = iter([write, lambda: people.approve(forge, change.number, "maintainer"), lambda: None, write])

    def wait(_: float) -> bool:
        stage.time += MINUTE
        step = next(steps, None)
        looks.append(stage.measured[-1][0])
        if step is not None:
            step()
        return step is None

    monkeypatch.setattr(stage, "wait", wait)
    assert work.once()
    assert looks[:4] == ["a"] * 4, "not before a cell has come to its end"
    assert [slug for slug, *_ in stage.measured] == ["a", "new", "a", "b"]
    assert len(lines.of("a maintainer has approved a change, which comes first")) == 1
    assert Nights(work.home / "nights.json", 0).spent(stage.time) == 2 * MINUTE * (len(looks) - 1), (
        "both parts, and not the change"
    )
    assert stage.committed == ["a", "b"]


def test_between_two_steps_the_night_gives_way_as_well(
    work: Runner, stage: Stage, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = LocalForge(project)
    git(project, "config", "--add", "espalier.maintainer", "maintainer")
    change = propose(forge, project.parent / "author")
    stage.cells = [cell("digits-mlp", slug, "missing") for slug in ("a", "b")]
    wait = stage.wait

    def approve(seconds: float) -> bool:
        people.approve(forge, change.number, "maintainer")
        return wait(seconds)

    stage.seconds = MINUTE
    monkeypatch.setattr(stage, "wait", approve)
    assert work.once()
    assert [slug for slug, *_ in stage.measured] == ["a", "new", "b"]


def test_sentinels_that_deviate_stop_the_night_too(work: Runner, stage: Stage, lines: Lines) -> None:
    stage.cells = [cell("digits-mlp", slug) for slug in ("a", "b")]
    stage.deviations = ["random on digits-mlp: its count of parameters or MACs changed"]
    assert work.once()
    assert (stage.measured, stage.committed, stage.asked.count("sentinels")) == ([], [], 1)
    (told,) = lines.of("not published: this machine no longer measures what it did")
    assert told["deviations"] == stage.deviations
    assert "--accept" in told["fix"]
    assert json.loads((work.home / HEARTBEAT).read_text())["doing"] == "stopped by the sentinels"
    stage.deviations = []
    work.once()
    assert stage.committed == ["a", "b"]


def test_what_an_evaluation_cost_is_entered_when_it_fails(work: Runner, stage: Stage, lines: Lines) -> None:
    stage.cells = [cell("digits-mlp", "a")]

    def fail(*_: object) -> bool:
        stage.time += HOUR
        raise EspalierError("the forge is gone")

    stage.wait = fail  # type: ignore[method-assign]
    with pytest.raises(EspalierError):
        work.once()
    assert Nights(work.home / "nights.json", 0).spent(stage.time) == 2 * HOUR
    assert [line["gpu_hours"] for line in lines.of("spent")] == [2]


def test_a_dry_run_says_what_the_night_would_measure(work: Runner, stage: Stage, lines: Lines) -> None:
    work.dry = True
    stage.cells = [cell("digits-mlp", "a"), cell("digits-mlp", "b")]
    work.once()
    assert [line["waiting"] for line in lines.of("would measure for main")] == [2]
    assert stage.measured == []
    assert not (work.home / "nights.json").exists()
