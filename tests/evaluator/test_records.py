"""Records, keys and the store."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.canonical import canonical_json, digest, write_atomically
from evaluator.errors import StoreError
from evaluator.grid import Cell
from evaluator.records import Cost, Environment, Inputs, Latency, Record, Store, prune_key, score_key, stale_reasons
from evaluator.records.store import read_records

INPUTS = Inputs(
    contract=1, submission="s", train_data="t", base="b", prune_protocol=1, controls_protocol=1, scoring_protocol=1,
    recipe="r", test_data="e",
)  # fmt: skip
CELL = Cell("digits-mlp", "one-shot", "unstructured", 2.0, 0)


def record(**changes: object) -> Record:
    fields = {
        **CELL._asdict(),
        "submission": "lamp",
        "variant": "method",
        "recipe": "digits-retraining",
        "setup": "S4.2",
        "status": "timeout",
        "cost": Cost(pruning_seconds=1),
        "inputs": INPUTS,
        "prune_key": prune_key(CELL, INPUTS),
        "environment": Environment(
            device_class="cpu", device="x", torch="2.11.0", python="3.11", platform="Linux", espalier="0", sandbox="none"
        ),
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Record(**(fields | changes))


def test_keys_never_change_while_their_inputs_do_not() -> None:
    """Pinned: another value would orphan every published record."""
    assert prune_key(CELL, INPUTS) == "c0cdef8d47acaae844cb85e9cb9c8264613bde69ca14ba92f4cb014065755796"
    assert score_key("a", CELL, INPUTS) == "dd4d39460c62edbb1be798463b68e79172fa65ce72fda06e602fbb53283b9aab"


def test_each_key_depends_on_its_own_inputs_only() -> None:
    def keys(inputs: Inputs) -> tuple[str, str]:
        return prune_key(CELL, inputs), score_key("a", CELL, inputs)

    prune, score = keys(INPUTS)
    for field in ("contract", "submission", "prune_protocol"):
        changed = keys(INPUTS.model_copy(update={field: 2 if field != "submission" else "x"}))
        assert changed[0] != prune
        assert changed[1] == score, "the same artifact is not scored again"
    for field in ("scoring_protocol", "recipe", "test_data"):
        changed = keys(INPUTS.model_copy(update={field: "x" if field != "scoring_protocol" else 2}))
        assert changed[0] == prune, "a change of scoring does not prune again"
        assert changed[1] != score


def test_another_major_version_of_the_grid_is_another_measurement() -> None:
    """Of the first, which is older than the field, the keys are as they were."""
    second, third = (INPUTS.model_copy(update={"grid": major}) for major in (2, 3))
    for key in (lambda inputs: prune_key(CELL, inputs), lambda inputs: score_key("a", CELL, inputs)):
        assert len({key(INPUTS), key(second), key(third)}) == 3
    assert stale_reasons(INPUTS, second) == ["the grid is another major version"]
    assert stale_reasons(second, third) == ["the grid is another major version (2 -> 3)"]


def test_a_stale_record_says_what_changed() -> None:
    new = INPUTS.model_copy(update={"scoring_protocol": 2, "base": "other"})
    assert stale_reasons(INPUTS, new) == ["the base model changed", "the scoring protocol changed (1 -> 2)"]
    assert stale_reasons(INPUTS, INPUTS) == []
    controls = INPUTS.model_copy(update={"controls_protocol": 2})
    assert stale_reasons(INPUTS, controls) == []
    assert stale_reasons(INPUTS, controls, control=True) == ["the protocol of the controls changed (1 -> 2)"]


def test_the_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    records = [record(seed=seed, target=target) for seed in (2, 0) for target in (16.0, 2.0)]
    store.add(records)
    assert list(store) == sorted(records, key=lambda r: (r.target, r.seed))
    path = store.path("digits-mlp", "lamp")
    before = path.read_bytes()
    store.add(reversed(records))
    assert path.read_bytes() == before, "the same records are the same bytes"
    assert list(tmp_path.rglob("*.part")) == []


def test_a_record_replaces_the_one_of_its_cell(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([record()])
    store.add([record(status="method_error")])
    assert [r.status for r in store] == ["method_error"]


def test_controls_of_other_masks_go_with_their_method(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([record(), record(variant="matched-random"), record(variant="matched-random", seed=1)])
    store.add([record(prune_key="0" * 64)])
    assert [(r.variant, r.seed) for r in store] == [("matched-random", 1), ("method", 0)]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(canonical_json(record().model_dump(mode="json") | {"schema_version": 99}) + "\n")
    with pytest.raises(StoreError, match="newer than this Espalier reads"):
        read_records(path)


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '{"schema_version": 1}', '{"schema_version": "1"}', "\xff"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(canonical_json(record().model_dump(mode="json")).encode() + b"\n" + line.encode("latin1") + b"\n")
    with pytest.raises(StoreError) as caught:
        read_records(path)
    assert f"{path}:2" in str(caught.value)
    assert "measured again" in str(caught.value) or "newer" in str(caught.value)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path).writing(), pytest.raises(StoreError, match="another evaluation"), Store(tmp_path).writing():
        pass
    with Store(tmp_path).writing():
        pass


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_canonical_json_is_json_and_independent_of_order(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        assert digest(dict(reversed(value.items()))) == digest(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_canonical_json_refuses_what_is_not_json(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_many_who_write_the_same_file_at_once_leave_it_whole(tmp_path: Path) -> None:
    """Threads of a coordinator may find the same outcome at the same moment."""
    path = tmp_path / "outcome"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(path, content), contents * 3))
    assert path.read_bytes() in contents
    assert [entry.name for entry in tmp_path.iterdir()] == ["outcome"]


def test_records_from_before_the_sparse_kernels_are_written_as_they_were() -> None:
    """A record that says nothing of such layers keeps its bytes, and so its signature."""
    dense = {
        "device": "cpu",
        "threads": 1,
        "batch": 1,
        "dtype": "float32",
        "median_ms": 1.0,
        "quartiles_ms": [1.0, 1.0],
        "runs": 9,
    }
    assert Latency.model_validate(dense).model_dump(mode="json") == dense
    assert Latency.model_validate({**dense, "sparse_layers": 2}).model_dump()["sparse_layers"] == 2
