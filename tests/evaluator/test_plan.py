"""The plan and the grid as programs read them; nothing is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.commands.plan import _like
from evaluator.grid import Cell
from evaluator.plan import Plan, Planned
from evaluator.records import Variant
from tests.miniature import DIGITS, Miniature


@pytest.fixture
def mini(tmp_path: Path) -> Miniature:
    made = Miniature(tmp_path, DIGITS)
    made.submit("largest")
    return made


def test_an_infeasible_target_is_shown_and_not_planned(mini: Miniature) -> None:
    """ShrinkBench ends in an assertion; here the floor of unprunable parameters is known from counting."""
    benchmarks = mini.read("benchmarks")
    benchmarks["digits-cnn"]["targets"] = {"unstructured": [2, 12, 13]}
    mini.write("benchmarks", benchmarks)
    plan = mini.json("plan", "--benchmark", "digits-cnn")
    assert plan["infeasible"] == [f"digits-cnn/one-shot/unstructured/13/{seed}" for seed in (0, 1)]
    planned = {cell["cell"] for cell in plan["cells"] if cell["submission"] == "largest"}
    assert planned == {f"digits-cnn/one-shot/unstructured/{target}/{seed}" for target in (2, 12) for seed in (0, 1)}
    grid = {b["name"]: b for b in mini.json("grid")["benchmarks"]}
    low, high = grid["digits-cnn"]["feasible_compression"]
    assert low == 1
    assert 12 < high < 13
    assert "infeasible" in mini.run("plan").stdout


def test_the_plan_names_every_cell_with_state_and_reason(mini: Miniature) -> None:
    plan = mini.json("plan")
    assert plan["states"] == {"fresh": 0, "missing": 12, "failed": 0, "stale": 0}
    assert {tuple(cell["reasons"]) for cell in plan["cells"]} == {("never measured",)}
    assert {cell["submission"] for cell in plan["cells"]} == {"dense", "largest"}
    assert len({(cell["submission"], cell["cell"]) for cell in plan["cells"]}) == 12


def test_the_plan_can_be_narrowed(mini: Miniature) -> None:
    cell = "digits-mlp/one-shot/unstructured/8/1"
    assert [c["cell"] for c in mini.json("plan", "largest", "--cell", cell)["cells"]] == [cell]
    assert len(mini.json("plan", "--benchmark", "digits-mlp")["cells"]) == 6
    assert len(mini.json("plan", "dense")["cells"]) == 4


def test_what_no_device_here_is_for_is_nothing_to_do(mini: Miniature) -> None:
    """As `evaluate --here` leaves it; what the processor is for is to do on every machine."""
    tiers = mini.read("tiers")
    tiers["elsewhere"] = tiers["smoke"] | {"device_class": "abacus"}
    mini.write("tiers", tiers)
    benchmarks = mini.read("benchmarks")
    benchmarks["digits-cnn"]["tier"] = "elsewhere"
    mini.write("benchmarks", benchmarks)
    cells = mini.json("plan", "largest", "--here")["cells"]
    todo = {cell["cell"].partition("/")[0]: bool(cell["todo"]) for cell in cells if cell["submission"] == "largest"}
    assert todo == {"digits-mlp": True, "digits-cnn": False}
    assert any("the tier elsewhere is for abacus" in reason for cell in cells for reason in cell["reasons"])


def test_methods_of_another_division_or_stage_have_no_cells(mini: Miniature) -> None:
    mini.submit("structured", division="structured")
    mini.submit("early", stage="before")
    assert {cell["submission"] for cell in mini.json("plan")["cells"]} == {"dense", "largest"}


def test_the_grid_lists_everything_for_programs(mini: Miniature) -> None:
    listed = mini.json("grid")
    assert len(listed["digest"]) == 64
    for benchmark in listed["benchmarks"]:
        expected = {
            "name", "title", "tier", "dataset", "architecture", "parameters", "prunable_weights", "macs", "tracks",
            "targets", "feasible_compression", "seeds", "recipe", "dense_recipe", "fresh_recipe", "pruning_recipe",
            "alternative_recipes", "feasible_speedup", "limits", "method_epochs", "stress",
            "start", "bases", "digest", "device_class",
        }  # fmt: skip
        assert set(benchmark) == expected
    assert {b["name"]: b["parameters"] for b in listed["benchmarks"]} == {"digits-mlp": 12_060, "digits-cnn": 5_178}


def test_an_invalid_submission_is_named_without_a_traceback(mini: Miniature) -> None:
    (mini.root / "submissions" / "largest" / "metadata.yaml").write_text("title: [")
    mini.submit("other")
    done = mini.run("plan", "--each")
    assert "left out largest" in done.stderr
    assert "espalier check largest" in done.stderr
    assert "other" in done.stdout, "one broken submission does not keep the others from being measured"
    assert "espalier check largest" in mini.run("plan", "largest", code=1).stderr


def test_damaged_records_are_named_without_a_traceback(mini: Miniature) -> None:
    path = mini.root / "results" / "digits-mlp" / "largest.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    assert f"{path}:1" in mini.run("plan", code=1).stderr


def test_what_is_printed_is_short_until_a_submission_is_named(mini: Miniature) -> None:
    for slug in ("one", "two"):
        mini.submit(slug)
    short, long = mini.run("plan").stdout.splitlines(), mini.run("plan", "one").stdout
    assert [line.split()[:3] for line in short[1:3]] == [["4", "digits-cnn", "missing"], ["4", "digits-mlp", "missing"]]
    assert "28 cells to run, 76 networks with their controls: no estimate yet" in short[-1]
    assert long.startswith("submission ")
    assert long.count("one ") == 2


def test_no_workers_are_wrong_usage(mini: Miniature) -> None:
    for number in ("0", "-2"):
        assert "greater than or equal to 1" in mini.run("plan", "--workers", number, code=2).stderr


def test_an_unknown_alternative_recipe_names_those_of_the_benchmarks_meant(mini: Miniature) -> None:
    benchmarks = mini.read("benchmarks")
    benchmarks["digits-mlp"]["alternative_recipes"] = ["digits-dense"]
    mini.write("benchmarks", benchmarks)
    told = mini.run("plan", "--recipe", "digits-dense", "--benchmark", "digits-cnn", code=2).stderr
    assert "fix: one of: there are none; or --benchmark digits-mlp" in told
    assert "fix: one of: digits-dense\n" in mini.run("plan", "--recipe", "nothing", code=2).stderr


def test_an_estimate_says_where_it_comes_from() -> None:
    """Of what is to be run here: cells that are left to others do not count."""
    cell = Cell("digits-mlp", "one-shot", "unstructured", 2.0, 0)

    def planned(device: str, *todo: Variant) -> Planned:
        return Planned(None, cell, "missing", todo=todo, devices=frozenset({device}))

    assert _like(Plan([])) == _like(Plan([planned("cpu", "dense"), planned("nvidia-h200")])) == ""
    assert _like(Plan([planned("cpu", "dense"), planned("nvidia-h200", "dense")])) == ", by what they took on nvidia-h200"


def test_stress_targets_are_planned_when_they_are_asked_for(mini: Miniature) -> None:
    """By the option, or by name; the usual ones stay what is asked for unasked."""
    targets = mini.read("targets")
    targets["unstructured"]["stress"] = [10]
    mini.write("targets", targets)
    benchmarks = mini.read("benchmarks")
    del benchmarks["digits-cnn"]["targets"]
    mini.write("benchmarks", benchmarks)
    far = {f"digits-cnn/one-shot/unstructured/10/{seed}" for seed in (0, 1)}

    def cells(*options: str) -> set[str]:
        planned = mini.json("plan", "largest", *options)["cells"]
        return {cell["cell"] for cell in planned if cell["submission"] == "largest"}

    usual = cells()
    assert not far & usual
    assert cells("--stress") == usual | far, "digits-mlp has targets of its own, and none beyond"
    one = min(far)
    assert cells("--cell", one) == {one}
    listed = {b["name"]: b["stress"] for b in mini.json("grid")["benchmarks"]}
    assert listed == {"digits-cnn": {"unstructured": [10.0]}, "digits-mlp": {}}
    targets["unstructured"]["stress"] = [0.5]
    mini.write("targets", targets)
    assert "no compression above 1" in mini.run("plan", code=1).stderr
