"""`espalier audit` as a whole: two methods measured, their churn counted and kept, and the site that shows it."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.evaluator.figures import RANDOM
from tests.miniature import Miniature

pytestmark = pytest.mark.usefixtures("bubblewrap")

BENCHMARK = "digits-mlp"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """Two submissions on one benchmark: targets 2 and 8, two seeds."""
    mini = Miniature(tmp_path_factory.mktemp("audited"))
    mini.submit("largest")
    mini.submit("chance", RANDOM)
    mini.run("evaluate", "--benchmark", BENCHMARK, "--workers", "1")
    return mini


@pytest.fixture
def mini(measured: Miniature, tmp_path: Path) -> Miniature:
    """A copy that a test may change."""
    return measured.copy(tmp_path / "copy")


def kept(mini: Miniature, slug: str) -> Path:
    return mini.root / ".espalier" / "results" / BENCHMARK / "audit" / f"{slug}.jsonl"


def method_page(mini: Miniature, slug: str) -> str:
    mini.run("site", "build")
    return (mini.root / "public" / "methods" / f"{slug}.html").read_text(encoding="utf-8")


def predictions(mini: Miniature, slug: str, target: float, phase: str) -> dict[int, bytes]:
    """Seed -> what the method's network answered, straight from the artifacts."""
    folder = mini.root / ".espalier" / "artifacts"
    digests = {
        r["seed"]: r[phase]["predictions"]
        for r in mini.records()
        if (r["submission"], r["target"]) == (slug, target) and r["variant"] in ("method", "dense")
    }
    return {seed: (folder / sha256[:2] / sha256).read_bytes() for seed, sha256 in digests.items()}


def percent(one: bytes, other: bytes) -> float:
    return 100 * sum(a != b for a, b in zip(one, other, strict=True)) / len(one)


def test_churn_is_that_of_its_definition(measured: Miniature) -> None:
    """Counted again in plain Python, from the records and the files that they name."""
    found = {(r["submission"], r["target"], r["phase"]): r for r in measured.json("audit")["rows"]}
    assert len(found) == 2 * 2 * 2
    for (slug, target, phase), row in found.items():
        pruned, dense = predictions(measured, slug, float(target), phase), predictions(measured, "dense", 1, phase)
        between = [percent(pruned[i], dense[j]) for i in pruned for j in dense if i != j]
        within = [percent(one, other) for one, other in combinations(dense.values(), 2)]
        own = [percent(pruned[i], dense[i]) for i in pruned]
        assert row["churn"] == pytest.approx(sum(between) / len(between) - sum(within) / len(within))
        assert row["own_seed"] == pytest.approx(sum(own) / len(own))


def test_audit_writes_what_the_site_shows(mini: Miniature) -> None:
    """Before, the page says that churn is not known; a second writing changes nothing."""
    assert "Churn is not known" in method_page(mini, "chance")
    assert "8 figures of churn are written" in mini.run("audit", "--write").stdout
    first = kept(mini, "chance").read_bytes()
    mini.run("audit", "--write")
    assert kept(mini, "chance").read_bytes() == first
    page = method_page(mini, "chance")
    assert "What it forgets" in page
    assert "Churn, %" in page
    assert "Churn is not known" not in page


def test_what_is_kept_outlives_the_predictions(mini: Miniature) -> None:
    """Where predictions are gone, the figures that rest on the same digests stand, and writing again keeps them."""
    before = mini.json("audit", "--write")
    first = kept(mini, "largest").read_bytes()
    shutil.rmtree(mini.root / ".espalier" / "artifacts")
    assert mini.json("audit", "--write") == before
    assert kept(mini, "largest").read_bytes() == first


def test_missing_predictions_are_named_with_the_remedy(mini: Miniature) -> None:
    """Recall per class still stands; looking is fine, and writing ends with 1."""
    shutil.rmtree(mini.root / ".espalier" / "artifacts")
    looked = mini.run("audit", "chance")
    assert looked.stdout.count("class ") >= 4
    assert "churn of 4 rows is unknown" in looked.stderr
    assert f"  {BENCHMARK}: chance, dense\n" in looked.stderr
    assert f"espalier evaluate chance --benchmark {BENCHMARK} --force" in looked.stderr
    found = mini.json("audit", "chance", "--write", code=1)
    assert {row["churn"] for row in found["rows"]} == {None}
    assert [one["submission"] for one in found["missing"]] == ["chance", "dense"]
    assert not kept(mini, "chance").exists()


def test_torn_predictions_count_as_missing(mini: Miniature) -> None:
    record = next(
        r for r in mini.records() if r["submission"] == "largest" and r["target"] == 8 and r["variant"] == "method"
    )
    sha256 = record["after"]["predictions"]
    (mini.root / ".espalier" / "artifacts" / sha256[:2] / sha256).write_bytes(b"\x00" * 17)
    rows = mini.json("audit", "largest")["rows"]
    assert [(r["target"], r["phase"]) for r in rows if r["churn"] is None] == [("8", "after")]


def test_figures_of_other_predictions_go(mini: Miniature) -> None:
    """A file that rests on digests of yesterday is hidden, and replaced where the predictions are."""
    mini.run("audit", "--write")
    whole = kept(mini, "largest").read_bytes()
    lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
    stale = [one | {"dense": one["dense"] | {"0": "0" * 64}} for one in lines]
    kept(mini, "largest").write_text("".join(json.dumps(one) + "\n" for one in stale))
    assert "Churn is not known" in method_page(mini, "largest")
    mini.run("audit", "--write")
    assert kept(mini, "largest").read_bytes() == whole


def test_damaged_audit_is_told_without_a_traceback(mini: Miniature) -> None:
    kept(mini, "largest").parent.mkdir()
    kept(mini, "largest").write_text("not json\n")
    for command in (["audit"], ["audit", "--write"], ["site", "build"]):
        told = mini.run(*command, code=1).stderr
        assert "audit/largest.jsonl:1: this line is no audit" in told
        assert "restore the file from git" in told
    assert mini.run("plan").stdout  # the records are as good as before


def test_wrong_names_are_usage_errors(mini: Miniature) -> None:
    assert "nothing to audit of 'larges'" in mini.run("audit", "larges", code=2).stderr
    assert "nothing was measured here yet" in mini.run("audit", "--published", code=2).stderr
    mini.run("audit", "--benchmark", "no-such", code=2)
