"""`espalier smoke` and `espalier bases` on a miniature checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.miniature import DIGITS, Miniature


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

    told = mini.run("smoke", "largest", "--sandbox", "bubblewrap", code=1, PATH="").stderr
    assert "bubblewrap does not work here" in told

    done = mini.run("smoke", "restless", "--sandbox", "none", code=1)
    assert "WARNING: there is no sandbox" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("digits-mlp") and "more" not in line]
    assert [(row[1], row[-1]) for row in rows] == [("ok", "NO")] * 2
    assert "digits-mlp/one-shot/unstructured/2/0 and 1 more: two runs gave different outcomes" in done.stdout
    assert done.stdout.count("two runs") == 1, "what cells have in common is said once"
    assert mini.records() == [], "nothing is recorded"


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
