"""Whole runs of the true command line on a miniature checkout, with the real sandbox and the real scorer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.evaluator.figures import RANDOM, figures
from tests.miniature import DIGITS, MAGNITUDE, Miniature

pytestmark = pytest.mark.usefixtures("bubblewrap")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """Two submissions on two benchmarks, measured by one worker."""
    mini = Miniature(tmp_path_factory.mktemp("measured"), DIGITS)
    mini.submit("largest")
    mini.submit("chance", RANDOM)
    mini.run("evaluate", "--workers", "1")
    return mini


def test_every_cell_has_a_method_and_its_matched_controls(measured: Miniature) -> None:
    records = measured.records()
    kinds = {(r["submission"], r["variant"]) for r in records}
    controls = {(slug, variant) for slug in ("largest", "chance") for variant in ("matched-random", "matched-magnitude")}
    assert kinds == {("dense", "dense"), ("largest", "method"), ("chance", "method")} | controls
    assert len(records) == 2 * (2 + 2 * 2 * 2 * 3)  # benchmarks x (dense seeds + submissions x targets x seeds x variants)
    assert {r["status"] for r in records} == {"ok"}
    assert {r["environment"]["sandbox"] for r in records} == {"bubblewrap"}


def test_the_target_is_met_exactly_and_controls_keep_the_same_densities(measured: Miniature) -> None:
    layers: dict[tuple[object, ...], set[tuple[int, ...]]] = {}
    for r in measured.records():
        counts = r["counts"]
        assert counts["kept"] == round(counts["parameters"] / r["target"])
        cell = (r["submission"], r["benchmark"], r["target"], r["seed"])
        layers.setdefault(cell, set()).add(tuple(layer["kept"] for layer in counts["layers"]))
    assert all(len(kept) == 1 for kept in layers.values())


def test_the_dense_control_is_retrained_like_everything_else(measured: Miniature) -> None:
    dense = [r for r in measured.records() if r["submission"] == "dense"]
    others = [r for r in measured.records() if r["submission"] != "dense"]
    assert {r["cost"]["retraining_epochs"] for r in dense} == {r["cost"]["retraining_epochs"] for r in others} == {2}
    assert all(r["before"]["loss"] != r["after"]["loss"] for r in dense)


def test_magnitude_with_its_own_densities_is_itself(measured: Miniature) -> None:
    found = figures(measured.records())
    for key, values in found.items():
        if key[:2] == ("largest", "method"):
            assert found["largest", "matched-magnitude", *key[2:]]["score_key"] == values["score_key"]


def test_magnitude_beats_chance(measured: Miniature) -> None:
    def correct(slug: str) -> int:
        return sum(r["after"]["correct"] for r in measured.records() if (r["submission"], r["variant"]) == (slug, "method"))

    assert correct("largest") > correct("chance")


def test_any_number_of_workers_and_any_order_gives_the_same_figures(measured: Miniature, tmp_path: Path) -> None:
    other = Miniature(tmp_path, DIGITS)
    other.submit("largest")
    other.submit("chance", RANDOM)
    other.run("evaluate", "chance", "--benchmark", "digits-cnn", "--workers", "2")
    other.run("evaluate", "--workers", "3")
    assert figures(other.records()) == figures(measured.records())


def test_what_is_fresh_is_not_measured_again(measured: Miniature) -> None:
    before = measured.records()
    assert "nothing to do" in measured.run("evaluate").stdout
    assert measured.json("plan")["states"] == {"fresh": 20, "missing": 0, "failed": 0, "stale": 0}
    assert measured.records() == before


def test_a_cell_can_be_measured_again_alone(measured: Miniature) -> None:
    before = measured.records()
    cell = "digits-mlp/one-shot/unstructured/8/1"
    done = measured.json("evaluate", "largest", "--cell", cell, "--force")
    assert done["measured"] == {"ok": 3}
    assert {(r["submission"], r["cell"], r["status"]) for r in done["records"]} == {("largest", cell, "ok")}
    after = measured.records()
    assert figures(after) == figures(before)


def test_published_records_need_no_local_ones(measured: Miniature, tmp_path: Path) -> None:
    (measured.root / ".espalier" / "results").rename(tmp_path / "away")
    try:
        assert measured.json("plan")["states"]["missing"] == 20
        (tmp_path / "away").rename(measured.root / "results")
        assert measured.json("plan", "--published")["states"]["fresh"] == 20
        assert "nothing to do" in measured.run("evaluate").stdout
        measured.submit("newcomer")
        missing = {(c["submission"], c["state"]) for c in measured.json("plan", "newcomer")["cells"]}
        assert missing == {("newcomer", "missing"), ("dense", "missing")}, "a local table needs a dense control of its own"
    finally:
        shutil.rmtree(measured.root / "submissions" / "newcomer", ignore_errors=True)
        shutil.rmtree(measured.root / ".espalier" / "results")  # the evaluation made an empty one
        (measured.root / "results").rename(measured.root / ".espalier" / "results")


def test_a_plan_says_what_is_stale_and_why(measured: Miniature) -> None:
    def reasons() -> set[str]:
        return {reason for cell in measured.json("plan", "largest")["cells"] for reason in cell["reasons"]}

    method = measured.root / "submissions" / "largest" / "method.py"
    original = method.read_text()
    method.write_text(original + "# a comment\n")
    assert reasons() == {"the submission's code or functional metadata changed"}
    assert "of these cells are stale" in measured.run("show", "largest").stdout
    assert original.startswith('"""')
    method.write_text(original.replace('"""', '"""In other words. ', 1))
    assert reasons() == set(), "what a docstring says changes no figure"
    assert "stale" not in measured.run("show", "largest").stdout
    method.write_text(original)
    measured.submit("largest", title="A new title", summary="Another way to say what this made-up method does.")
    assert reasons() == set(), "a title changes no figure"
    for part, name, field, value, words in [
        ("recipes", "digits-retraining", "lr", 0.02, "the retraining recipe changed"),
        ("protocol", None, "scoring_version", 99, "the scoring protocol changed (1 -> 99)"),
        ("tiers", "smoke", "torch", "<2", "the tier accepts <2"),
        ("grid", None, "version", "2.0", "the grid is another major version"),
    ]:
        content = measured.read(part)
        changed = measured.read(part)
        (changed[name] if name else changed)[field] = value
        measured.write(part, changed)
        assert any(words in reason for reason in reasons()), words
        measured.write(part, content)
    assert reasons() == set()


def test_a_failure_is_a_record_and_is_not_tried_again(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.submit("broken", "print('so far'); raise ValueError('what a pity')")
    mini.submit("short", "import torch; return Pruned({i: torch.zeros_like(w).bool() for i, w in job.weights()})")
    mini.submit("largest", MAGNITUDE)
    mini.run("evaluate")
    by_slug: dict[str, list[dict[str, Any]]] = {}
    for r in mini.records():
        by_slug.setdefault(r["submission"], []).append(r)
    assert {r["status"] for r in by_slug["broken"]} == {"method_error"}
    assert all("what a pity" in r["reason"] and "so far" in r["log"] for r in by_slug["broken"])
    assert {(r["status"], r["variant"]) for r in by_slug["short"]} == {("missed_target", "method")}
    assert {r["reason"].partition(": ")[2] for r in by_slug["short"] if r["target"] == 2} == {
        "0 of 11,400 prunable weights are kept, job.keep is 5,370"
    }
    assert {r["status"] for r in by_slug["largest"]} == {"ok"}, "the others are unharmed"
    plan = mini.json("plan")
    assert plan["states"] == {"fresh": 6, "missing": 0, "failed": 8, "stale": 0}
    assert "nothing to do" in mini.run("evaluate").stdout
    shown = mini.run("show", "broken").stdout
    assert shown.count("ValueError: what a pity") == 1, "the same for every cell, said once"
    assert f" and {len(by_slug['broken']) - 1} more: method_error" in shown


def test_one_mask_for_every_target_misses_all_but_one(tmp_path: Path) -> None:
    """Scores are shared by artifact; whether a target is met is not."""
    mini = Miniature(tmp_path)
    half = (
        "import torch; total = sum(w.numel() for _, w in job.weights()); keep = 5370; scores = torch.cat([w.abs().flatten() "
    )
    half += "for _, w in job.weights()]); cut = scores.sort(descending=True).values[keep - 1]; "
    mini.submit("stubborn", half + "return Pruned({i: w.abs() >= cut for i, w in job.weights()})")
    targets = mini.read("benchmarks")
    for order in ([2, 8], [8, 2]):
        targets["digits-mlp"]["targets"] = {"unstructured": order}
        mini.write("benchmarks", targets)
        mini.run("evaluate", "stubborn", "--force")
        found = {(r["target"], r["status"]) for r in mini.records() if r["variant"] == "method"}
        assert found == {(2, "ok"), (8, "missed_target")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "nobody"], "no submission 'nobody'"),
        (["evaluate", "--tier", "enormous"], "no tier 'enormous'"),
        (["evaluate", "--benchmark", "imagenet"], "no benchmark 'imagenet'"),
        (["evaluate", "--cell", "digits-mlp/one-shot/unstructured/7/0"], "no cell"),
        (["show", "nobody"], "fix: one of: chance, dense, largest"),
        (["show", "larges"], "did you mean largest?"),
        (["show", "nobody", "--local"], "no records of 'nobody' of this machine"),
        (["plan", "--root", "/"], "not a checkout"),
    ],
)
def test_wrong_usage_is_explained(measured: Miniature, arguments: list[str], message: str) -> None:
    assert message in measured.run(*arguments, code=2).stderr


def test_a_missing_or_damaged_base_model_is_explained(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.submit("largest")
    path = mini.root / "bases" / "digits-mlp" / "seed0.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "damaged" in mini.run("plan", code=1).stderr
    path.unlink()
    assert "espalier bases digits-mlp" in mini.run("evaluate", code=1).stderr


def test_without_a_sandbox_records_say_so_and_cannot_be_published(tmp_path: Path) -> None:
    mini = Miniature(tmp_path)
    mini.submit("largest")
    empty = tmp_path / "bin"
    empty.mkdir()
    arguments = ("evaluate", "largest")
    refused = mini.run(*arguments, "--publish", code=1, PATH=str(empty))
    assert "what is published must come from one" in refused.stderr
    done = mini.run(*arguments, PATH=str(empty))
    assert "WARNING" in done.stderr
    assert {r["environment"]["sandbox"] for r in mini.records()} == {"none"}
    assert mini.records("results") == []
