"""Sentinels: what was published is measured anew, and a deviation is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from evaluator.commands import sentinels
from evaluator.grid import load_grid
from evaluator.records import Record, Score, Store
from evaluator.records.acceptance import acceptances
from evaluator.records.changes import place
from evaluator.repository import Repository
from evaluator.sentinels import SLUGS, _beyond, deviations, elsewhere
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


KILLED = """
import sys
from pathlib import Path
from evaluator.commands import sentinels
from evaluator.repository import Repository

sys.executable = sys.argv[1]
sentinels._evaluate(Repository(Path()), [("dense", "a")], ())
"""


def test_what_measures_them_goes_with_who_asked(tmp_path: Path) -> None:
    """A runner that is killed leaves nothing at work on the device."""
    program, seen = tmp_path / "python", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {seen}.new; mv {seen}.new {seen}; exec sleep 60\n")
    program.chmod(0o755)
    asking = subprocess.Popen([sys.executable, "-c", KILLED, str(program)])
    until(seen.exists)
    measuring = seen.read_text().strip()
    until(lambda: "sleep" in said_by(measuring))
    asking.kill()
    asking.wait()
    until(lambda: not said_by(measuring))


def said_by(process: str) -> str:
    """By which words it was started; nothing once it is over."""
    try:
        return Path("/proc", process, "cmdline").read_text()
    except OSError:
        return ""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.mark.usefixtures("bubblewrap")
def test_measured_anew_and_compared(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    benchmarks = mini.read("benchmarks")
    benchmarks["digits-mlp"] |= {"seeds": [0], "targets": {"unstructured": [8]}}
    mini.write("benchmarks", benchmarks)
    mini.submit("global-magnitude", MAGNITUDE)
    mini.submit("random", MAGNITUDE)
    nothing = {"ok": True, "cells": [], "records": 0, "environments": [], "deviations": [], "accepted": []}
    assert mini.json("sentinels") == nothing
    mini.run("evaluate", "--publish")
    found = mini.json("sentinels")
    assert (found["ok"], found["deviations"]) == (True, [])
    assert found["environments"] == [place(next(iter(Store(mini.root / "results"))).environment)]
    assert sorted(cell.split("/")[3] for cell in found["cells"]) == ["1", "8", "8"]

    path = mini.root / "results" / "digits-mlp" / "global-magnitude.jsonl"
    true = Store(mini.root / "results").read("digits-mlp", "global-magnitude").values()
    path.write_text("".join(json.dumps(spoil(json.loads(line))) + "\n" for line in path.read_text().splitlines()))
    for file in path.parent.glob("*.jsonl"):
        file.write_text(re.sub('"espalier": ?"', '"espalier":"0', file.read_text()))
    moved = path.read_bytes()
    told = mini.run("evaluate", "random", "--publish", "--force", "--benchmark", "digits-mlp", code=1).stderr
    assert "since the last publication: espalier: 0" in told
    assert "fix: find out why" in told
    assert path.read_bytes() == moved
    assert "count of parameters or MACs changed" in told
    assert "right, there were" in told
    assert {line.split()[0] for line in told.splitlines() if ", method" in line} == {"global-magnitude"}

    with pytest.MonkeyPatch.context() as patch:  # what was measured first is measured anew, without measuring it again
        patch.setattr(sentinels, "_evaluate", lambda *_: list(true))
        assert accepting(mini) == {"global-magnitude"}
    (one,) = acceptances(mini.root / "results")
    assert one.reason == "the scales were wrong"


def accepting(mini: Miniature) -> set[str]:
    """Whose deviations are accepted: all that there are, with a reason; the next look finds none."""
    run = partial(CliRunner().invoke, typer_app(sentinels.sentinels))
    found = run(["--json", "--root", str(mini.root)])
    assert (found.exit_code, json.loads(found.stdout)["ok"]) == (1, False)
    assert run(["--accept", " ", "--root", str(mini.root)]).exit_code != 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sentinels, "_evaluate", lambda *given: [] if given[-1] == ("--sandbox=none",) else pytest.fail("as asked")
        )
        assert run(["--sandbox", "none", "--root", str(mini.root)]).exit_code == 0
    run(["--accept", "the scales\n were wrong", "--root", str(mini.root)])
    again = run(["--json", "--root", str(mini.root)])
    assert (again.exit_code, json.loads(again.stdout)["deviations"]) == (0, [])
    assert json.loads(again.stdout)["accepted"] == json.loads(found.stdout)["deviations"]
    return {line.split()[0] for line in json.loads(again.stdout)["accepted"]}


def test_sentinels_that_main_does_not_have_are_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense alone is published at first; and a method may be taken out, while its records are there still."""
    benchmark, repository = "mnist-lenet-300-100", Repository(tmp_path)
    asked: list[list[str]] = []
    monkeypatch.setattr(sentinels, "_evaluate", lambda _, wanted, __: asked.append([slug for slug, _ in wanted]) or [])
    (repository.submissions / "random").mkdir(parents=True)
    for slug in SLUGS:
        Store(repository.published).add(Store(ROOT / "results").read(benchmark, slug).values())
        sentinels.look(repository, load_grid(ROOT / "evaluator" / "grid"), [benchmark])
    assert asked == [["dense"], ["dense", "random"], ["dense", "random"]]


def typer_app(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


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


def test_they_are_measured_by_the_code_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed too."""
    paths = []

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        paths.append(env["PYTHONPATH"])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert sentinels._evaluate(Repository(ROOT), [("dense", "digits-mlp/one-shot/unstructured/1/0")], ()) == []
    assert paths == [str(ROOT)]


def test_a_record_of_another_protocol_says_nothing_about_the_machine() -> None:
    record = next(iter(Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values()))
    spoilt = Record.model_validate(spoil(record.model_dump(mode="json")) | {"status": "timeout"})
    assert deviations([record], [spoilt]) != []
    older = record.model_copy(update={"inputs": record.inputs.model_copy(update={"scoring_protocol": 0})})
    assert deviations([older], [spoilt]) == []


def test_what_differs_between_two_environments_is_named(tmp_path: Path) -> None:
    """That of the newest record counts; where nothing is published there is nothing to differ from."""
    store = Store(tmp_path)
    old = next(iter(Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values()))
    new = old.environment.model_copy(update={"driver": "580.95", "torch": "9.9"})
    assert elsewhere(store, old.benchmark, new) == []
    store.add([old])
    assert elsewhere(store, old.benchmark, old.environment) == []
    assert elsewhere(store, old.benchmark, new) == [f"torch: {old.environment.torch} -> 9.9", "driver: none -> 580.95"]
    store.add([old.model_copy(update={"seed": 77, "created": "2099-01-01T00:00:00+00:00", "environment": new})])
    assert elsewhere(store, old.benchmark, new) == []


def test_what_is_published_does_not_deviate_from_itself() -> None:
    records = list(Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values())
    assert records
    assert deviations(records, records) == []
