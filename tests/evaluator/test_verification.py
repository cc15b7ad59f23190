"""What `espalier verify` finds in records: every rule broken once, in true records of this repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.canonical import canonical_json
from evaluator.grid import Grid, load_grid
from evaluator.records import Record
from evaluator.records.soundness import contradictions, unlike_grid, unpublishable
from evaluator.records.store import read_file
from evaluator.repository import Repository
from evaluator.verification import Finding, Report, verify
from tests.evaluator.test_churn import figure
from tests.miniature import ROOT
from tests.site.methods import ALL_KINDS
from tests.site.synthetic import Plan, make_repository, open_everything, records

BENCHMARK, SLUG = "mnist-lenet-300-100", "lamp"
FILE = ROOT / "results" / BENCHMARK / f"{SLUG}.jsonl"

Content = dict[str, Any]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid(ROOT / "evaluator" / "grid")


@pytest.fixture(scope="module")
def true() -> Record:
    """A method's record that is ok."""
    return next(r for r in read_file(FILE) if r.variant == "method" and r.status == "ok" and r.track == "one-shot")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One published file, and the base models and grid that it rests on."""
    for folder in ("evaluator/grid", f"bases/{BENCHMARK}"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    copy = tmp_path / "results" / BENCHMARK / FILE.name
    copy.parent.mkdir(parents=True)
    shutil.copy(FILE, copy)
    bases = tmp_path / "evaluator" / "grid" / "bases.yaml"
    here = load_grid(tmp_path / "evaluator" / "grid").bases[BENCHMARK]
    content = {BENCHMARK: {seed: base.model_dump(exclude_none=True) for seed, base in here.items()}}
    bases.write_text(json.dumps(content))
    return Repository(tmp_path)


def found(repository: Repository) -> Report:
    return verify(repository, load_grid(repository.grid))


def the_file(repository: Repository) -> Path:
    return repository.published / BENCHMARK / FILE.name


def change(repository: Repository, line: int, **changes: Any) -> None:
    path = the_file(repository)
    lines = path.read_text().splitlines()
    lines[line] = canonical_json(json.loads(lines[line]) | changes)
    path.write_text("\n".join(lines) + "\n")


def broken(record: Record, how: Callable[[Content], object]) -> Record:
    content = record.model_dump(mode="json")
    how(content)
    return Record.model_validate(content)


def test_what_this_repository_publishes_is_sound(grid: Grid, tmp_path: Path) -> None:
    """Every record of every submission; whether they are signed is not looked at here."""
    for folder in ("evaluator", "bases"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    unsigned = shutil.ignore_patterns("allowed_signers", "*.sig", ".lock")
    shutil.copytree(ROOT / "results", tmp_path / "results", ignore=unsigned)
    report = verify(Repository(tmp_path), grid)
    assert report.problems == []
    assert report.records > 1000


def test_records_of_all_tracks_and_divisions_may_be_sound(tmp_path: Path) -> None:
    """Synthetic records of every kind, which the rules about what there must be do not refuse."""
    repository = make_repository(tmp_path)
    open_everything(repository, "digits-cnn")
    made = records(load_grid(repository.grid), Plan(benchmarks=("digits-cnn",), methods=1, kinds=ALL_KINDS))
    keys = {"the prune key is not that of its inputs", "the score key is not that of its inputs and artifact",
            "the dense network has another artifact"}  # fmt: skip
    assert {problem for record in made for problem in contradictions(record)} <= keys, "they have made-up keys"


BREAKS: list[tuple[str, Callable[[Content], object]]] = [
    ("the prune key is not that of its inputs", lambda r: r.update(prune_key="0" * 64)),
    ("the prune key is not that of its inputs", lambda r: r.update(seed=7)),
    ("the score key is not that of its inputs and artifact", lambda r: r.update(score_key="0" * 64)),
    ("the score key is not that of its inputs and artifact", lambda r: r.update(artifact="0" * 64)),
    ("the score key is not that of its inputs and artifact", lambda r: r["inputs"].update(test_data="0" * 64)),
    ("artifact is no SHA-256", lambda r: r.update(artifact="../../etc/passwd")),
    ("the classes do not sum up to the whole", lambda r: r["after"].update(correct=r["after"]["correct"] + 1)),
    ("the classes do not sum up to the whole", lambda r: r["before"].update(images=10_001)),
    ("a class has more correct images than images", lambda r: r["after"]["class_correct"].__setitem__(0, 10_000)),
    ("a class has more correct images than images", lambda r: r["after"]["class_correct"].pop()),
    ("more images are correct than there are", lambda r: r["after"].update(correct=10_001)),
    ("or than among the first five", lambda r: r["after"].update(correct_top5=1)),
    ("a cross-entropy is finite and not negative", lambda r: r["after"].update(loss=-1.0)),
    ("the digest of the predictions is no SHA-256", lambda r: r["after"].update(predictions="x")),
    ("it keeps nothing or more than there is", lambda r: r["counts"].update(kept=0, effective=0)),
    ("or more is effective than is kept", lambda r: r["counts"].update(effective=r["counts"]["kept"] + 1)),
    ("it computes more than the dense network", lambda r: r["counts"].update(macs_kept=10**12)),
    ("a layer keeps more than it has", lambda r: r["counts"]["layers"][0].update(kept=10**9)),
    ("what is kept is not the sum over layers", lambda r: r["counts"].update(kept=r["counts"]["kept"] - 1, effective=1)),
    ("channels are counted exactly where they are removed", lambda r: r["counts"].update(channels=[3])),
    ("the score after training is missing", lambda r: r.update(after=None)),
    ("the score before training cannot be", lambda r: r.update(track="at-init", setup="S3.2")),
    ("lacks counts, artifact or score key", lambda r: r.update(counts=None)),
    ("it is timeout, and scored all the same", lambda r: r.update(status="timeout")),
    ("a cost is negative", lambda r: r["cost"].update(retraining_seconds=-1.0)),
    ("'yesterday' is no time", lambda r: r.update(created="yesterday")),
    ("the setup of its track is", lambda r: r.update(setup="S9")),
    ("there is no variant scratch-e", lambda r: r.update(variant="scratch-e")),
    ("there is no variant method of dense", lambda r: r.update(submission="dense")),
    ("'8' is no target of unstructured cells", lambda r: r.update(target="8")),
    ("2.0 is no target of semi-structured cells", lambda r: r.update(division="semi-structured", target=2.0)),
    ("a median lies between its quartiles", lambda r: r.update(latency=[{
        "device": "cpu", "threads": 1, "batch": 1, "dtype": "float32", "median_ms": 1.0, "quartiles_ms": [2.0, 3.0],
        "runs": 5}])),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "how"), BREAKS, ids=[f"{i} {problem}" for i, (problem, _) in enumerate(BREAKS)])
def test_a_record_that_contradicts_itself_is_found(true: Record, problem: str, how: Callable[[Content], object]) -> None:
    assert list(contradictions(true)) == []
    assert any(problem in line for line in contradictions(broken(true, how)))


AGAINST_THE_GRID: list[tuple[str, Callable[[Content], object]]] = [
    ("it was tested on other images", lambda r: r["after"].update(images=9_999)),
    ("there is top-5 exactly where", lambda r: r["after"].update(correct_top5=10_000)),
    ("its dense network is not lenet-300-100", lambda r: r["counts"].update(macs=10**12)),
    ("its dense network is not lenet-300-100", lambda r: r["counts"].update(layers=r["counts"]["layers"][1:])),
    ("it is ok, but misses the target", lambda r: r["counts"].update(kept=r["counts"]["kept"] * 11 // 10)),
    ("it is ok, but misses the target", lambda r: r["counts"].update(kept=0)),
    ("its method trained more than the track allows", lambda r: r["cost"].update(pruning_epochs=1)),
]


@pytest.mark.parametrize(("problem", "how"), AGAINST_THE_GRID)
def test_a_record_that_is_not_of_this_grid_is_found(
    true: Record, grid: Grid, problem: str, how: Callable[[Content], object]
) -> None:
    assert list(unlike_grid(true, grid)) == []
    assert any(problem in line for line in unlike_grid(broken(true, how), grid))


def test_what_was_measured_elsewhere_or_without_walls_is_not_published(true: Record, grid: Grid) -> None:
    assert list(unpublishable(true, grid)) == []
    loose = broken(true, lambda r: r["environment"].update(sandbox="none"))
    assert list(unpublishable(loose, grid)) == ["it was measured without a sandbox"]
    other = broken(true, lambda r: r["environment"].update(device_class="nvidia-h200"))
    assert list(unpublishable(other, grid)) == ["it was measured on nvidia-h200, the tier publishes cpu only"]


def test_a_sound_repository(repository: Repository) -> None:
    report = found(repository)
    assert (report.files, report.problems) == (1, [])
    assert [note.where for note in report.notes] == ["results/allowed_signers"]


def test_findings_say_which_line_of_which_file(repository: Repository) -> None:
    change(repository, 2, prune_key="0" * 64)
    (first, *_) = found(repository).problems
    assert first.where == f"results/{BENCHMARK}/{FILE.name}:3"
    assert "git" in str(first.fix)


def test_the_same_of_many_lines_is_said_once(repository: Repository) -> None:
    path = the_file(repository)
    path.write_text(path.read_text().replace('"sandbox":"bubblewrap"', '"sandbox":"none"'))
    (problem,) = found(repository).problems
    number = len(path.read_text().splitlines())
    assert problem[:2] == (f"results/{BENCHMARK}/{FILE.name}:1", f"it was measured without a sandbox ({number} records)")


@pytest.mark.parametrize(("line", "problem"), [("junk", "this line is not a record"), ("", "this line is not a record")])
def test_a_damaged_file_is_one_problem_and_no_end(repository: Repository, line: str, problem: str) -> None:
    the_file(repository).write_text(f"{line}\n")
    shutil.copy(FILE.with_name("snip.jsonl"), the_file(repository).with_name("snip.jsonl"))
    report = found(repository)
    assert [one.what for one in report.problems] == [problem]
    assert report.records > 0, "the other file is looked at all the same"


def test_a_record_that_is_there_twice_is_found(repository: Repository) -> None:
    lines = the_file(repository).read_text().splitlines(keepends=True)
    the_file(repository).write_text("".join([*lines, lines[0]]))
    (problem,) = found(repository).problems
    assert (problem.where, problem.what) == (
        f"results/{BENCHMARK}/{FILE.name}:{len(lines) + 1}",
        "this record is there twice",
    )


def test_a_file_under_another_name_is_found(repository: Repository) -> None:
    shutil.copy(the_file(repository), the_file(repository).with_name("copied.jsonl"))
    (problem,) = found(repository).problems
    assert problem.where.endswith("copied.jsonl:1")
    assert f"this is of {BENCHMARK}/{SLUG}" in problem.what


def test_a_control_of_other_masks_is_found(repository: Repository) -> None:
    lines = [json.loads(line) for line in the_file(repository).read_text().splitlines()]
    number = next(i for i, r in enumerate(lines) if r["variant"] == "matched-random")
    change(repository, number, prune_key="0" * 64)
    assert "this control is of other masks than the method's beside it" in {p.what for p in found(repository).problems}


def test_the_same_predictions_are_right_equally_often(repository: Repository) -> None:
    """A count that was raised consistently, class sums and all, still disagrees with who keeps the same weights."""
    other = the_file(repository).with_name("snip.jsonl")
    shutil.copy(FILE.with_name("snip.jsonl"), other)
    lines = [json.loads(line) for line in other.read_text().splitlines()]
    mine = json.loads(the_file(repository).read_text().splitlines()[0])["after"]
    number = next(i for i, r in enumerate(lines) if r["after"])
    raised = mine | {
        "correct": mine["correct"] - 1,
        "class_correct": [mine["class_correct"][0] - 1, *mine["class_correct"][1:]],
    }
    lines[number]["after"] = raised
    other.write_text("".join(canonical_json(line) + "\n" for line in lines))
    assert any("the same predictions" in problem.what for problem in found(repository).problems)


def test_stale_records_are_a_note(repository: Repository) -> None:
    """They are true, and the site leaves them out; what the grid says of today is not held against them."""
    path = repository.grid / "protocol.yaml"
    path.write_text(path.read_text().replace("scoring_version: 1", "scoring_version: 2"))
    report = found(repository)
    assert report.problems == []
    assert any(
        "stale, and left out of the site: the scoring protocol changed (1 -> 2)" in note.what for note in report.notes
    )


def test_a_version_of_pytorch_that_the_tier_accepts_no_more_is_a_note(repository: Repository) -> None:
    path = repository.grid / "tiers.yaml"
    path.write_text(path.read_text().replace('torch: ">=2.11"', 'torch: ">=99"'))
    report = found(repository)
    assert report.problems == []
    assert report.notes
    assert all("the tier accepts >=99" in note.what for note in report.notes if note.what.startswith("stale"))
    assert any(note.what.startswith("stale, and left out of the site: measured with torch 2.") for note in report.notes)
    path.write_text(path.read_text().replace('torch: ">=99"', 'torch: ">=2.11"'))
    elsewhere = json.loads(the_file(repository).read_text().splitlines()[0])["environment"] | {"torch": "2.10.0"}
    change(repository, 0, pruned_in=elsewhere)
    report = found(repository)
    assert any("measured with torch 2.10.0, the tier accepts >=2.11" in note.what for note in report.notes)


def test_a_damaged_base_model_is_found(repository: Repository) -> None:
    path = repository.bases / BENCHMARK / "seed0.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (problem,) = found(repository).problems
    assert problem.where == f"bases/{BENCHMARK}/seed0.safetensors"
    path.unlink()
    (problem,) = found(repository).problems
    assert problem.what == "this base model is missing"


def test_churn_that_rests_on_nothing_is_a_note_and_a_damaged_one_a_problem(repository: Repository) -> None:
    path = repository.published / BENCHMARK / "audit" / "lamp.jsonl"
    path.parent.mkdir()
    path.write_text(canonical_json(figure(benchmark=BENCHMARK).model_dump(mode="json")) + "\n")
    report = found(repository)
    assert report.problems == []
    assert any("predictions that no record names" in note.what for note in report.notes)
    path.write_text("junk\n")
    assert [problem.where for problem in found(repository).problems] == [f"results/{BENCHMARK}/audit/lamp.jsonl:1"]


def test_what_nobody_reads_is_a_note(repository: Repository) -> None:
    for name in ("stray.txt", f"{BENCHMARK}/gone.jsonl.sig", f"{BENCHMARK}/a/b/deep.jsonl", ".hidden"):
        path = repository.published / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (repository.published / BENCHMARK / "folder.jsonl").mkdir()
    report = found(repository)
    notes = {Finding(*note).where.removeprefix("results/") for note in report.notes}
    assert notes == {"allowed_signers", "stray.txt", f"{BENCHMARK}/gone.jsonl.sig", f"{BENCHMARK}/a/b/deep.jsonl"}
    assert [problem.what for problem in report.problems] == ["Is a directory"]
