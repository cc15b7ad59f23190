"""Code that changes without changing what it removes keeps its figures, wherever they were measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluator.records import Record
from evaluator.records.soundness import contradictions
from tests.miniature import MAGNITUDE, Miniature

pytestmark = pytest.mark.usefixtures("bubblewrap")

EDITED = f"# said in other words\n        {MAGNITUDE}"
MEASURED = ("counts", "before", "after", "trainability", "artifact", "score_key")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """One submission, published from another machine."""
    mini = Miniature(tmp_path_factory.mktemp("once"))
    mini.submit("largest")
    mini.run("evaluate", "--publish")
    move(mini, device="Another Processor")
    return mini


@pytest.fixture
def published(once: Miniature, tmp_path: Path) -> Miniature:
    """A copy for one test."""
    return once.copy(tmp_path / "copy")


def move(mini: Miniature, **environment: Any) -> None:
    """Let the published records come from somewhere else."""
    for path in (mini.root / "results").glob("*/*.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        moved = [record | {"environment": record["environment"] | environment} for record in records]
        lines = [json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n" for record in moved]
        path.write_text("".join(lines))


def of(records: list[dict[str, Any]], *slugs: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    kept = (record for record in records if record["submission"] in slugs)
    return {(r["variant"], r["target"], r["seed"]): r for r in kept}


def test_the_same_masks_keep_their_figures_and_both_places_are_told(published: Miniature) -> None:
    published.submit("largest", EDITED)
    assert published.json("plan", "largest", "--published")["states"]["stale"] == 4
    published.run("evaluate", "largest")
    before, after = of(published.records("results"), "largest"), of(published.records(), "largest")
    assert before.keys() == after.keys()
    assert len(after) == 4 * 3
    for place, record in after.items():
        assert record["prune_key"] != before[place]["prune_key"]
        assert [record[name] for name in MEASURED] == [before[place][name] for name in MEASURED]
        assert record["cost"]["retraining_seconds"] == before[place]["cost"]["retraining_seconds"]
        assert record["environment"]["device"] == "Another Processor" != record["pruned_in"]["device"]
        assert not list(contradictions(Record.model_validate(record)))
    dense = of(published.records(), "dense")
    assert dense
    assert not any("pruned_in" in record for record in dense.values()), "measured in every environment"

    published.run("promote", "largest")
    assert published.json("plan", "largest", "--published")["states"] == {"fresh": 6, "missing": 0, "failed": 0, "stale": 0}
    assert published.json("verify")["problems"] == []
    assert not list(published.root.glob("results/changes/*/*.jsonl")), "no figure changed"


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_other_masks_are_measured_here_and_all_where_that_is_asked_for(published: Miniature, options: list[str]) -> None:
    published.submit("largest", EDITED if options else MAGNITUDE.replace("w.abs()", "-w.abs()"))
    published.run("evaluate", "largest", *options)
    found = [record for record in published.records() if record["submission"] == "largest"]
    assert len(found) == 4 * 3
    assert not any("pruned_in" in record or record["environment"]["device"] == "Another Processor" for record in found)


def test_what_is_taken_out_of_the_published_records_does_not_come_back(published: Miniature) -> None:
    """A maintainer found it wrong; it is then measured again."""
    published.submit("largest", EDITED)
    published.run("evaluate", "largest")
    next(published.root.glob("results/*/largest.jsonl")).unlink()
    published.run("promote", "largest")
    assert of(published.records("results"), "largest") == {}
    plan = published.json("plan", "largest")
    assert plan["states"]["stale"] == 4
    assert "measured elsewhere, and no longer published" in str(plan)
    published.run("evaluate", "largest")
    assert not any("pruned_in" in record for record in of(published.records(), "largest").values())


def test_masks_made_without_a_sandbox_are_not_published(published: Miniature, tmp_path: Path) -> None:
    (empty := tmp_path / "bin").mkdir()
    published.submit("largest", EDITED)
    published.run("evaluate", "largest", PATH=str(empty))
    found = of(published.records(), "largest").values()
    assert {(r["environment"]["sandbox"], r["pruned_in"]["sandbox"]) for r in found} == {("bubblewrap", "none")}
    before = published.records("results")
    published.run("promote", "largest")
    assert published.records("results") == before
    shutil.copytree(published.root / ".espalier" / "results", published.root / "results", dirs_exist_ok=True)
    plan = published.json("plan", "largest", "--published")
    assert plan["states"]["stale"] == 6
    assert "measured without a sandbox" in str(plan)
