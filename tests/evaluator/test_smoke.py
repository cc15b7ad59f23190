"""`espalier smoke` and `espalier bases` on a miniature checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from evaluator.commands.smoke import _show, _show_printed
from evaluator.grid import Cell
from evaluator.terminal import out
from evaluator.trial import Tried
from tests.evaluator.test_records import record
from tests.miniature import DIGITS, MAGNITUDE, Miniature


@pytest.mark.usefixtures("bubblewrap")
def test_smoke_tells_fine_from_broken_and_from_restless(tmp_path: Path) -> None:
    mini = Miniature(tmp_path, DIGITS)
    mini.submit("largest")
    mini.submit("broken", "return 1 / 0")
    mini.submit(
        "restless", "import torch; torch.seed(); return job.keep_highest({i: torch.rand(w.shape) for i, w in job.weights()})"
    )

    fine = mini.json("smoke", "largest")
    assert fine["ok"]
    assert fine["sandbox"] == "bubblewrap"
    assert {cell["cell"] for cell in fine["cells"]} == {
        f"{name}/one-shot/unstructured/{target}/0" for name in DIGITS for target in (2, 8)
    }
    assert all(cell["repeatable"] and cell["after"] > 50 for cell in fine["cells"])

    benchmarks = mini.read("benchmarks")
    del benchmarks["digits-cnn"]  # one network is enough to see the rest
    mini.write("benchmarks", benchmarks)
    broken = mini.json("smoke", "broken", code=1)
    assert {cell["status"] for cell in broken["cells"]} == {"method_error"}
    assert all("ZeroDivisionError" in cell["reason"] and "method.py" in cell["log"] for cell in broken["cells"])
    assert {cell["repeatable"] for cell in broken["cells"]} == {None}, "what failed is not run again"

    told = mini.run("smoke", "largest", "--sandbox", "bubblewrap", code=1, PATH="").stderr
    assert "bubblewrap does not work here" in told

    done = mini.run("smoke", "restless", "--sandbox", "none", code=1)
    assert "WARNING: there is no sandbox" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("digits-mlp") and "more" not in line]
    assert [(row[1], row[-1]) for row in rows] == [("ok", "NO")] * 2
    assert "digits-mlp/one-shot/unstructured/2/0 and 1 more: two runs gave different outcomes" in done.stdout
    assert done.stdout.count("two runs") == 1, "what cells have in common is said once"
    assert mini.records() == [], "nothing is recorded"


@pytest.mark.usefixtures("bubblewrap")
def test_smoke_tells_where_an_endless_method_is_and_tries_no_other_cell(tmp_path: Path) -> None:
    mini = Miniature(tmp_path, DIGITS)
    tiers = mini.read("tiers")
    tiers["smoke"]["limits"]["wall_seconds"] = 3
    mini.write("tiers", tiers)
    mini.submit("endless", "while True: pass")
    done = mini.run("smoke", "endless", code=1)
    told = [line for line in done.stderr.splitlines() if "steps" in line]
    assert [line.partition(", about")[0] for line in told] == ["3/12 steps"], "one run in all"
    assert "first run: timeout" in told[0]
    assert "line 10, in prune\n    while True: pass" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("digits-") and ":" not in line]
    assert [" ".join(row[1:3]) for row in rows] == ["timeout 3.0", *["not tried"] * 3]
    assert "and 2 more: not tried: a cell before it ran out of time" in done.stdout


@pytest.mark.usefixtures("bubblewrap")
def test_smoke_shows_what_is_printed_and_warns_of_weights_that_are_dropped(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.submit("doubles", f"print('hello'); [w.mul_(2) for _, w in job.weights()]; {MAGNITUDE}")
    done = mini.run("smoke", "doubles", "--verbose")
    assert "digits-mlp/one-shot/unstructured/2/0 and 1 more printed:\nhello\nwarning: weights of layers 0, 1" in done.stdout
    steps = [line.partition("(")[2] for line in done.stderr.splitlines() if "/6 steps" in line]
    ends = [end for end in ("first run: ok)", "second run: ok)", "scored: ok)") for _ in range(2)]
    assert [line.rpartition(", ")[2] for line in steps] == ends


def test_a_cell_that_was_not_run_again_is_told_apart_from_one_that_differs() -> None:
    """Where a second run takes too long, the cells behind it have had one run only."""
    good = record().model_copy(update={"status": "ok"})
    tried = [Tried(good.cell, good, True), Tried(good.cell, good, False), Tried(good.cell, good), Tried(good.cell)]
    assert [one.fine for one in tried] == [True, False, False, False]
    with out.capture() as told:
        _show(tried, verbose=False)
    said = told.get()
    assert f"{good.cell.id}: two runs gave different outcomes" in said
    assert f"{good.cell.id}: it was not run again, since another cell ran out of time" in said
    assert f"{good.cell.id}: not tried: a cell before it ran out of time" in said
    assert said.endswith("not fine\n")


def test_a_remedy_is_told_once() -> None:
    cells = [record().model_copy(update={"status": "missed_target", "reason": reason}) for reason in ("9 kept", "8 kept")]
    with out.capture() as told:
        _show([Tried(one.cell, one) for one in cells], verbose=False)
    said = told.get()
    assert "missed_target: 9 kept" in said
    assert "missed_target: 8 kept" in said
    assert said.count("fix: end with job.keep_highest") == 1


def test_much_that_is_printed_is_shortened_unless_all_is_asked_for() -> None:
    cell = Cell("digits-mlp", "one-shot", "unstructured", 2, 0)
    log = "\n".join(f"line {number}" for number in range(12))
    tried = [Tried(cell, printed=log), Tried(cell, printed=log), Tried(cell, printed="other"), Tried(cell)]
    with out.capture() as short:
        _show_printed(tried, verbose=False)
    assert short.get().splitlines()[1:3] == [f"{cell.id} and 1 more printed:", "line 2"]
    assert short.get().endswith("line 11\nand more, which --verbose shows\n")
    with out.capture() as whole:
        _show_printed(tried, verbose=True)
    assert "printed:\nline 0\nline 1\n" in whole.get()
    assert whole.get().endswith(f"{cell.id} printed:\nother\n")


def test_bases_trains_what_is_missing_and_pins_it(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    recipes = mini.read("recipes")
    recipes["digits-dense"]["epochs"] = 2
    mini.write("recipes", recipes)
    path = mini.root / "bases" / "digits-mlp" / "seed0.safetensors"
    kept = (mini.root / "bases" / "digits-mlp" / "seed1.safetensors").read_bytes()
    path.unlink()
    assert "1 to make" in mini.run("bases", "digits-mlp").stdout
    first = path.read_bytes()
    assert mini.read("bases")["digits-mlp"][0]["sha256"] == hashlib.sha256(first).hexdigest()
    assert (mini.root / "bases" / "digits-mlp" / "seed1.safetensors").read_bytes() == kept
    assert "0 to make" in mini.run("bases", "digits-mlp").stdout
    path.unlink()
    mini.run("bases", "digits-mlp")
    assert path.read_bytes() == first, "the same recipe and seed give the same base model"
