"""Code that changes without changing what it removes keeps its figures, wherever they were measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.grid import load_grid
from evaluator.records import Record
from evaluator.records.soundness import contradictions, unpublishable
from tests.miniature import MAGNITUDE, ROOT, Miniature

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


@pytest.mark.parametrize(
    "case", ["other masks", "another submission", "torch that is not accepted", "asked for", "not published"]
)
def test_all_else_is_measured_here(published: Miniature, case: str) -> None:
    body, slug, options = EDITED, "largest", []
    match case:
        case "other masks":
            body = MAGNITUDE.replace("w.abs()", "-w.abs()")
        case "another submission":
            slug = "twin"
        case "torch that is not accepted":
            move(published, torch="1.0")
        case "asked for":
            options = ["--force"]
        case "not published":
            (published.root / ".espalier").mkdir(exist_ok=True)
            (published.root / "results").rename(published.root / ".espalier" / "results")
    published.submit(slug, body)
    published.run("evaluate", slug, *options)
    found = [record for record in published.records() if record["submission"] == slug and record["variant"] == "method"]
    assert len(found) == 4
    assert not any("pruned_in" in record or record["environment"]["device"] == "Another Processor" for record in found)


@pytest.fixture(scope="module")
def record() -> Callable[..., Record]:
    path = ROOT / "results" / "mnist-lenet-5" / "lamp.jsonl"
    with path.open() as lines:
        whole = next(one for one in map(Record.model_validate_json, lines) if one.status == "ok")

    def changed(**pruned_in: Any) -> Record:
        return whole.model_copy(update={"pruned_in": whole.environment.model_copy(update=pruned_in)})

    return changed


def test_where_the_masks_were_made_is_judged_like_where_they_were_measured(record: Callable[..., Record]) -> None:
    grid = load_grid(ROOT / "evaluator" / "grid")
    assert not list(unpublishable(record(device="Another Processor"), grid))
    assert list(unpublishable(record(sandbox="none"), grid)) == ["it was measured without a sandbox"]
    assert list(unpublishable(record(device_class="nvidia-h200"), grid)) == [
        "it was measured on nvidia-h200, the tier publishes cpu only"
    ]
    assert list(contradictions(record())) == [
        "it was measured elsewhere than pruned only if it is ok, and the two are not the same"
    ]
