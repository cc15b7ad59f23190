"""A whole run of the true command line on a GPU: sandbox, scorer, records."""

from __future__ import annotations

from typing import Any

import pytest

from evaluator.sandbox import available
from tests.miniature import MAGNITUDE, Miniature

CHANNELS = "return job.keep_channels({g.position: g.filters[0].abs().sum(1) for g in job.groups()})"
ON_THE_GPU = ("--benchmark", "digits-cnn", "--device", "cuda", "--sandbox", available())
"""The benchmark is named: else what is for a CPU would be left to one."""
GRADUAL = """
        job.train(1)
        job.masks = dict(job.keep_highest({i: w.abs() for i, w in job.weights()}).masks)
        job.train(job.epochs_left)
        return Pruned(job.masks)
"""


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    mini = Miniature(tmp_path_factory.mktemp("gpu"), ["digits-cnn"])
    content = mini.read("benchmarks")
    content["digits-cnn"] |= {
        "divisions": ["unstructured", "structured"],
        "tracks": ["one-shot", "sparse-training"],
        "seeds": [0],
        "targets": {"unstructured": [2, 4, 8], "structured": [2]},
        "fresh_recipe": "digits-fresh",
    }
    mini.write("benchmarks", content)
    architectures = mini.read("architectures")
    architectures["digits-cnn"] |= {"highest_speedup": 20, "memory_format": "channels_last", "gpu_form": "compiled"}
    mini.write("architectures", architectures)
    mini.submit("largest", MAGNITUDE)
    mini.submit("channels", CHANNELS, division="structured")
    trains = {"data": True, "labels": True, "gradients": True, "training_epochs": 100}
    mini.submit("gradual", GRADUAL, stage="during", needs=trains)
    return mini


@pytest.fixture(scope="module")
def records(mini: Miniature) -> list[dict[str, Any]]:
    mini.run("evaluate", *ON_THE_GPU)
    made = mini.records()
    assert made
    return made


def test_every_network_is_measured(records: list[dict[str, Any]]) -> None:
    print([(r["submission"], r["variant"], r["status"], r["reason"], r["cost"]) for r in records])
    assert {record["status"] for record in records} == {"ok"}
    assert {record["submission"] for record in records} == {"dense", "largest", "channels", "gradual"}
    assert all(
        record["after"]["correct"] > record["after"]["images"] / 2
        for record in records
        if record["submission"] != "channels"
    )


def test_networks_of_one_shape_are_trained_as_one(records: list[dict[str, Any]]) -> None:
    told = {record["submission"]: record["log"] for record in records if record["variant"] == "method"}
    assert "networks in a wide one, compiled by" in told["largest"]
    assert "wide" not in told["channels"]


def test_a_record_says_which_gpu(records: list[dict[str, Any]]) -> None:
    for record in records:
        where = record["environment"]
        assert where["device"].startswith("NVIDIA")
        assert where["device_class"] == where["device"].lower().replace(" ", "-")
        assert where["cuda"]


def test_latency_of_what_lost_channels(records: list[dict[str, Any]]) -> None:
    for record in records:
        devices = {one["device"] for one in record["latency"]}
        assert (len(devices) == 2) == (record["submission"] in ("channels", "dense"))


def test_measuring_again_gives_the_same(mini: Miniature, records: list[dict[str, Any]]) -> None:
    before = {(r["submission"], r["variant"], r["target"]): r["after"] for r in records}
    mini.run("evaluate", "largest", *ON_THE_GPU, "--force")
    after = {(r["submission"], r["variant"], r["target"]): r["after"] for r in mini.records()}
    assert after == before
