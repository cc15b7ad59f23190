"""Every track and division in a whole run of the true command line, with the real sandbox and the real scorer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.miniature import MAGNITUDE, Miniature

pytestmark = pytest.mark.usefixtures("bubblewrap")

TRAINS = {"data": True, "labels": True, "gradients": True, "training_epochs": 100}
CHANNELS = "return job.keep_channels({g.position: g.filters[0].abs().sum(1) for g in job.groups()})"
PATTERN = "return job.keep_n_of_m({i: w.abs() for i, w in job.weights()})"
GRADUAL = """
        job.train(1)
        job.masks = dict(job.keep_highest({i: w.abs() for i, w in job.weights()}).masks)
        job.train(job.epochs_left)
        return Pruned(job.masks)
"""
REWOUND = """
        job.train(job.epochs)
        outcome = job.keep_highest({i: w.abs() for i, w in job.weights()})
        job.initialise()
        return outcome
"""
GREEDY = """
        job.train(job.epochs)
        job.train(1)
"""
Records = dict[tuple[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    mini = Miniature(tmp_path_factory.mktemp("tracks"), ["digits-cnn"])
    content = mini.read("benchmarks")
    del content["digits-cnn"]["fresh_recipe"]
    tracks = ["one-shot", "iterative", "at-init", "sparse-training"]
    content["digits-cnn"] |= {
        "divisions": ["unstructured", "semi-structured", "structured"],
        "tracks": tracks,
        "seeds": [0],
        "targets": {"unstructured": [2], "semi-structured": ["2:4"], "structured": [2]},
        "pruning_recipe": "digits-pruning",
        "alternative_recipes": ["digits-constant"],
    }
    mini.write("benchmarks", content)
    recipes = mini.read("recipes")
    recipes["digits-dense"] |= {"epochs": 3, "batch": 128}
    recipes["digits-pruning"] = recipes["digits-dense"] | {"epochs": 2}
    recipes["digits-constant"] = recipes["digits-retraining"] | {"schedule": "constant", "lr": 0.001}
    mini.write("recipes", recipes)
    architectures = mini.read("architectures")
    architectures["digits-cnn"] |= {"highest_speedup": 20}
    mini.write("architectures", architectures)
    mini.submit("channels", CHANNELS, division="structured")
    mini.submit("pattern", PATTERN, division="semi-structured")
    mini.submit("fresh", MAGNITUDE, stage="before")
    mini.submit("gradual", GRADUAL, stage="during", needs=TRAINS)
    mini.submit("rewound", REWOUND, needs=TRAINS)
    mini.submit("greedy", GREEDY, needs=TRAINS)
    mini.run("evaluate", "--workers", "1")
    return mini


@pytest.fixture(scope="module")
def records(measured: Miniature) -> Records:
    found: Records = {}
    for record in measured.records():
        found.setdefault((record["submission"], record["variant"]), []).append(record)
    return found


def only(records: Records, slug: str, variant: str = "method") -> dict[str, Any]:
    (record,) = records[slug, variant]
    return record


def test_each_method_is_measured_on_the_tracks_that_are_open_to_it(records: Records) -> None:
    tracks = {slug: {r["track"] for r in found} for (slug, variant), found in records.items() if variant == "method"}
    assert tracks == {
        "channels": {"one-shot"},
        "pattern": {"one-shot"},
        "fresh": {"at-init"},
        "gradual": {"sparse-training"},
        "rewound": {"iterative"},
        "greedy": {"iterative"},
    }
    failed = {slug for (slug, _), found in records.items() for r in found if r["status"] != "ok"}
    assert failed == {"greedy"}


def test_a_lone_submission_asks_for_the_dense_controls_of_its_own_tables(measured: Miniature) -> None:
    def dense(*slugs: str) -> set[str]:
        return {c["cell"] for c in measured.json("plan", *slugs)["cells"] if c["submission"] == "dense"}

    assert dense("fresh") == {"digits-cnn/at-init/unstructured/1/0"}
    assert dense("fresh", "pattern") == {"digits-cnn/at-init/unstructured/1/0", "digits-cnn/one-shot/semi-structured/1/0"}
    assert len(dense()) == len(dense("dense")) == 12


def test_setup_and_recipe_belong_to_the_track(records: Records) -> None:
    found = {
        slug: (only(records, slug)["setup"], only(records, slug)["recipe"]) for slug in ("channels", "fresh", "gradual")
    }
    assert found == {
        "channels": ("S4.2", "digits-retraining"),
        "fresh": ("S3.2", "digits-dense"),
        "gradual": ("SX-A", "digits-dense"),
    }


def test_channels_are_really_removed(records: Records) -> None:
    record = only(records, "channels")
    counts = record["counts"]
    assert counts["speedup_kind"] == "materialised"
    assert counts["macs"] / counts["macs_kept"] == pytest.approx(2, rel=0.05)
    assert counts["channels"]
    assert counts["kept"] < counts["parameters"]
    assert {(entry["batch"], entry["dtype"]) for entry in record["latency"]} == {(1, "float32"), (128, "float32")}
    assert all(entry["quartiles_ms"][0] <= entry["median_ms"] <= entry["quartiles_ms"][1] for entry in record["latency"])


def test_controls_of_channels_have_the_same_widths_and_scratch_ones_train_like_the_dense_network(records: Records) -> None:
    method = only(records, "channels")
    for variant in ("matched-random", "matched-magnitude", "scratch-e", "scratch-b"):
        assert only(records, "channels", variant)["counts"]["channels"] == method["counts"]["channels"]
    epochs = {
        variant: only(records, "channels", variant)["cost"]["retraining_epochs"] for variant in ("scratch-e", "scratch-b")
    }
    speedup = method["counts"]["macs"] / method["counts"]["macs_kept"]
    assert epochs == {"scratch-e": 3, "scratch-b": int(3 * speedup)}
    assert only(records, "channels", "scratch-e")["before"] is None
    assert only(records, "channels", "matched-magnitude")["score_key"] == method["score_key"]  # the same channels


def test_a_pattern_is_counted_and_its_controls_have_it_too(records: Records) -> None:
    for variant in ("method", "matched-random", "matched-magnitude"):
        layers = only(records, "pattern", variant)["counts"]["layers"]
        assert [layer["kept"] for layer in layers] == [16 * 9, 32 * 16 * 9 // 2]  # one input channel has no neighbours


def test_a_method_trains_within_its_budget_and_no_further(records: Records) -> None:
    assert only(records, "rewound")["cost"]["pruning_epochs"] == 2
    assert only(records, "gradual")["cost"]["pruning_epochs"] == 3
    greedy = only(records, "greedy")
    assert greedy["status"] == "method_error"
    assert "1 epochs of training are asked for, 0 of 2 are left" in greedy["reason"]


def test_what_a_method_trained_to_the_end_is_not_trained_again(records: Records) -> None:
    method, control = only(records, "gradual"), only(records, "gradual", "matched-magnitude")
    assert method["before"] is None
    assert method["after"]["images"] == 500
    assert method["cost"]["retraining_epochs"] == 0
    assert control["cost"]["retraining_epochs"] == 3


def test_a_network_of_initial_weights_is_scored_after_training_only(records: Records) -> None:
    assert only(records, "fresh")["before"] is None
    assert only(records, "fresh")["cost"]["retraining_epochs"] == 3


def test_every_track_has_its_dense_control(records: Records) -> None:
    dense = {(r["track"], r["recipe"]) for r in records["dense", "dense"] if r["division"] == "unstructured"}
    assert dense == {
        ("one-shot", "digits-retraining"),
        ("iterative", "digits-retraining"),
        ("at-init", "digits-dense"),
        ("sparse-training", "digits-dense"),
    }


def test_an_alternative_recipe_is_measured_beside_the_benchmarks_own(measured: Miniature) -> None:
    measured.run("evaluate", "channels", "--recipe", "digits-constant", "--workers", "1")
    recipes = {(r["variant"], r["recipe"]) for r in measured.records() if r["submission"] == "channels"}
    assert {("method", "digits-retraining"), ("method", "digits-constant")} <= recipes
    assert "nothing to do" in measured.run("evaluate", "channels", "--recipe", "digits-constant").stdout
    for option, recipe in (([], "digits-retraining"), (["--recipe", "digits-constant"], "digits-constant")):
        before = {r["recipe"] for r in measured.records("results")}
        measured.run("promote", "channels", *option)
        assert {r["recipe"] for r in measured.records("results")} - before == {recipe}
    assert "nothing to do" in measured.run("evaluate").stdout
    assert "one of: digits-constant" in measured.run("evaluate", "--recipe", "no-such", code=2).stderr


def test_the_site_shows_all_of_it(measured: Miniature) -> None:
    assert "pages from" in measured.run("site", "build").stdout
