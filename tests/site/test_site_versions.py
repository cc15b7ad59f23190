"""While the grid is measured anew, a board shows the version before, whole and marked, and changes over in one step."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from leaderboard.build import build, gather
from leaderboard.comparison import board_data
from leaderboard.load import Board, Results, load_results
from leaderboard.pages.changes import revisions

from evaluator.canonical import digest
from evaluator.grid import load_grid
from evaluator.records import Changes, Record, Store
from evaluator.records.acceptance import Acceptance, accept
from evaluator.records.previous import published
from evaluator.repository import Repository
from tests.site.methods import USUAL, metadata_of, names, write_submission
from tests.site.synthetic import Plan, fill, make_repository, records

ATOM = "{http://www.w3.org/2005/Atom}"
ONE = Plan(benchmarks=("digits-mlp",), methods=2)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two methods on one benchmark, published."""
    repository = make_repository(tmp_path_factory.mktemp("complete"))
    fill(repository, ONE)
    return repository


@pytest.fixture
def repository(complete: Repository, tmp_path: Path) -> Repository:
    shutil.copytree(complete.root, tmp_path / "copy", symlinks=True)
    return Repository(tmp_path / "copy")


def raise_version(repository: Repository, part: str = "scoring_version") -> None:
    path = repository.grid / "protocol.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {part: content[part] + 1}))


def anew(repository: Repository, records: Iterable[Record]) -> list[Record]:
    """The same cells, measured by the protocol of now: one image less is right."""
    protocol = load_grid(repository.grid).protocol
    versions = {f"{part}_protocol": getattr(protocol, f"{part}_version") for part in ("prune", "scoring", "controls")}

    def again(record: Record) -> Record:
        content = record.model_dump()
        for score in filter(None, (content["before"], content["after"])):
            score["correct"] -= 1
            score["predictions"] = digest([record.cell.id, record.variant, protocol.scoring_version])
        return Record.model_validate(content | {"inputs": content["inputs"] | versions, "created": "2026-11-11T11:11:11Z"})

    return [again(record) for record in records]


def stored(repository: Repository, *slugs: str) -> list[Record]:
    records = list(Store(repository.published))
    return [record for record in records if not slugs or record.submission in slugs]


def load(repository: Repository) -> Results:
    return load_results(repository, load_grid(repository.grid))


def board(repository: Repository) -> Board:
    (found,) = load(repository).boards
    return found


def protocols(found: Board) -> set[Any]:
    return {row.scoring_protocol for row in (*found.records, *found.dense_rows)}


def figures(found: Board) -> list[Any]:
    return sorted(map(attrgetter("submission", "variant", "target", "seed", "after_correct"), found.records))


def test_the_version_before_stays_whole_until_the_new_one_is(repository: Repository) -> None:
    """Cell by cell, in any order: never two versions, never a gap, the count goes up, and one step changes all."""
    old = figures(board(repository))
    cells = {(r.submission, r.cell) for r in stored(repository) if r.variant in ("method", "dense")}
    raise_version(repository)
    todo = anew(repository, stored(repository))
    store = published(repository.published)
    told = []
    parts = [[], *(todo[i : i + 20] for i in range(0, len(todo), 20))]
    for part in parts:
        store.add(part)
        now = board(repository)
        assert load(repository).warnings == []
        if now.remeasuring is None:
            break
        assert protocols(now) == {1}
        assert figures(now) == old
        assert now.remeasuring.reasons == ("the scoring protocol changed (1 -> 2)",)
        told.append((now.remeasuring.done, now.remeasuring.cells))
    assert part is parts[-1]
    assert told == sorted(told)
    assert told[0] == (0, len(cells))
    assert protocols(now) == {2}
    assert len(figures(now)) == len(old)
    assert figures(now) != old


def test_a_comparison_of_the_version_before_is_marked(repository: Repository) -> None:
    site = gather(repository)
    assert [board_data(site, standings)["before"] for standings in site.standings] == [False]
    raise_version(repository)
    site = gather(repository)
    assert [board_data(site, standings)["before"] for standings in site.standings] == [True]


def test_a_method_that_comes_meanwhile_waits_for_the_change_over(repository: Repository) -> None:
    raise_version(repository)
    newcomer = names(USUAL, 3)[2]
    write_submission(repository, metadata_of(newcomer))
    made = records(load_grid(repository.grid), Plan(benchmarks=("digits-mlp",), methods=3))
    store = published(repository.published)
    store.add(record for record in made if record.submission == newcomer)
    now = board(repository)
    assert now.remeasuring is not None
    assert newcomer not in now.by_submission
    store.add(anew(repository, (record for record in stored(repository) if record.submission != newcomer)))
    assert set(board(repository).by_submission) == set(names(USUAL, 3))


def test_a_method_that_is_gone_keeps_nobody_waiting(repository: Repository) -> None:
    """Nobody can measure it anew; until the others are, it stands among them."""
    raise_version(repository)
    first, second = sorted(path.name for path in repository.submissions.iterdir())
    shutil.rmtree(repository.submissions / first)
    assert set(board(repository).by_submission) == {first, second}
    published(repository.published).add(anew(repository, stored(repository, second, "dense")))
    results = load(repository)
    assert set(results.boards[0].by_submission) == {second}
    assert results.boards[0].remeasuring is None
    assert any(first in line for line in results.warnings)


def test_what_the_change_does_not_concern_stays(repository: Repository) -> None:
    """The controls' protocol: the methods' own figures are of both versions."""
    old = figures(board(repository))
    raise_version(repository, "controls_version")
    assert figures(board(repository)) == old
    controls = [record for record in stored(repository) if record.variant.startswith("matched")]
    store = published(repository.published)
    store.add(anew(repository, controls[:5]))
    assert figures(board(repository)) == old
    store.add(anew(repository, controls[5:]))
    now = board(repository)
    assert now.remeasuring is None
    assert {row for row in figures(now) if row[1] == "method"} == {row for row in old if row[1] == "method"}


def test_one_base_model_concerns_its_seed_alone(repository: Repository) -> None:
    old = figures(board(repository))
    path = repository.grid / "bases.yaml"
    bases = yaml.safe_load(path.read_text())
    bases["digits-mlp"][0]["sha256"] = "0" * 64
    path.write_text(yaml.safe_dump(bases))
    now = board(repository)
    assert figures(now) == old
    assert now.remeasuring is not None
    assert 3 * now.remeasuring.done == 2 * now.remeasuring.cells


def test_the_grid_changes_twice(repository: Repository) -> None:
    """The last complete version is shown, not the one that was begun."""
    old = figures(board(repository))
    store = published(repository.published)
    raise_version(repository)
    store.add(anew(repository, stored(repository)[:40]))
    raise_version(repository)
    now = board(repository)
    assert (protocols(now), figures(now)) == ({1}, old)
    todo = anew(repository, stored(repository))
    store.add(todo[60:])
    assert protocols(board(repository)) == {1}
    store.add(todo)
    now = board(repository)
    assert (now.remeasuring, protocols(now)) == (None, {3})


def test_no_figure_of_another_major_is_shown(repository: Repository) -> None:
    """Beside those of this one it would be compared; also when the major changes twice, or comes with a protocol."""
    path = repository.grid / "grid.yaml"
    store = published(repository.published)
    raise_version(repository)
    for major in (2, 3):
        path.write_text(yaml.safe_dump({"version": f"{major}.0"}))
        assert load(repository).boards == []
        assert all("the grid is another major version" in line for line in load(repository).warnings)
        todo = anew(repository, stored(repository))
        todo = [r.model_copy(update={"inputs": r.inputs.model_copy(update={"grid": major})}) for r in todo]
        store.add(todo[:40])
        now = board(repository)
        assert (now.remeasuring, {row.input_grid for row in now.records}) == (None, {major})
        assert len(figures(now)) < len(todo)
    store.add(todo)
    now = board(repository)
    assert {row.input_grid for row in (*now.records, *now.dense_rows)} == {3}
    assert len(figures(now)) + len(now.dense_rows) == len(todo)


def test_figures_of_a_pytorch_that_is_accepted_no_more_are_left_out(repository: Repository) -> None:
    """Also those of the version before."""
    raise_version(repository)
    path = repository.grid / "tiers.yaml"
    path.write_text(path.read_text().replace('torch: ">=2.11"', 'torch: ">=99"'))
    results = load(repository)
    assert results.boards == []
    assert all("measured with torch 2.11.0, the tier accepts >=99" in line for line in results.warnings)
    newer = stored(repository)[0].environment.model_copy(update={"torch": "99.0"})
    todo = [record.model_copy(update={"environment": newer}) for record in anew(repository, stored(repository))]
    published(repository.published).add(todo)
    now = board(repository)
    assert (now.remeasuring, {row.torch for row in now.records}) == (None, {"99.0"})
    elsewhere = newer.model_copy(update={"torch": "2.11.0"})
    method = next(record for record in todo if record.variant == "method")
    published(repository.published).add([method.model_copy(update={"pruned_in": elsewhere})])
    assert len(figures(board(repository))) == len(figures(now)) - 1


HOSTILE = '<script>alert("&")</script> ]]> \u202e'


@pytest.fixture(scope="module")
def built(complete: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The dense control and one cell are measured anew; and a maintainer has accepted what the sentinels said."""
    root = tmp_path_factory.mktemp("built") / "copy"
    shutil.copytree(complete.root, root, symlinks=True)
    repository = Repository(root)
    raise_version(repository)
    dense, other = stored(repository, "dense"), next(r for r in stored(repository) if r.variant == "method")
    published(repository.published).add(anew(repository, [*dense, other]))
    one = Acceptance(created="2026-11-12T00:00:00Z", environment=other.environment, deviations=[HOSTILE], reason=HOSTILE)
    accept(repository.published, one)
    build(repository, repository.root / "public")
    return repository


def page(repository: Repository, name: str) -> str:
    return (repository.root / "public" / name).read_text()


def entries(repository: Repository) -> list[dict[str, str]]:
    """Those of the feed."""
    found = ElementTree.parse(repository.root / "public" / "feed.xml").getroot().findall(f"{ATOM}entry")
    return [{part.tag.removeprefix(ATOM): part.text or part.get("href", "") for part in entry} for entry in found]


def test_pages_say_so(built: Repository) -> None:
    slug = sorted(path.name for path in built.submissions.iterdir())[0]
    cells = len({(r.submission, r.cell) for r in stored(built) if r.variant in ("method", "dense")})
    for name in ("index.html", "benchmarks/digits-mlp.html", f"methods/{slug}.html"):
        assert f"The previous version; the new one is being measured: 3 of {cells} cells." in page(built, name)
        assert "The scoring protocol changed (1 → 2)" in page(built, name)


def test_a_change_is_told_with_both_figures_and_why(built: Repository) -> None:
    """On its page, under what is new, and in the feed."""
    changes = list(Changes(built.published))
    assert len(changes) == 4
    for change in changes:
        for one in (change.old.figures, change.new.figures):
            assert one.after is not None
            assert f"{one.after / 5:.2f} % ({one.after} of 500)" in page(built, "changes.html")
    told = [entry for entry in entries(built) if entry["title"].startswith("Changed: ")]
    assert {entry["title"].split(" on ")[0] for entry in told} == {"Changed: Dense control", "Changed: Global magnitude"}
    for entry in told:
        assert "the scoring protocol changed (1 → 2)" in entry["summary"]
        assert entry["updated"] == "2026-11-11T11:11:11Z"
        name, _, fragment = entry["link"].partition("#")
        assert f'id="{fragment}"' in page(built, name)
        assert f'href="{entry["link"]}"' in page(built, "news.html")
    assert sum(entry["summary"].count("seed ") for entry in told) == 4


def test_what_was_accepted_is_shown_and_is_text(built: Repository) -> None:
    assert "<script>alert" not in page(built, "changes.html")
    assert page(built, "changes.html").count("&lt;script&gt;alert") == 2


def test_an_entry_of_the_feed_is_the_same_for_ever(built: Repository, tmp_path: Path) -> None:
    """Whatever else changes, on the same day or later."""
    shutil.copytree(built.root, tmp_path / "copy", symlinks=True)
    repository = Repository(tmp_path / "copy")
    site = gather(repository, local=False)
    before = {one.id: one for one in revisions(site)}
    store = published(repository.published)
    todo = [record for record in stored(repository) if record.variant == "method"][1:6]
    store.add(anew(repository, todo[:2]))
    later = [r.model_copy(update={"created": "2026-12-01T00:00:00Z"}) for r in anew(repository, todo[2:])]
    store.add(later)
    after = {one.id: one for one in revisions(gather(repository, local=False))}
    assert before.keys() < after.keys()
    assert [len(one.lines) - len(before[one.id].lines) for one in after.values() if one.id in before] == [2, 0]
    assert len(entries(built)) == len({entry["id"] for entry in entries(built)})
