"""What is kept between builds changes no byte, is never believed blindly, and has a bounded size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from leaderboard import reading, render
from leaderboard.build import build
from leaderboard.kept import NOTHING, Kept
from leaderboard.pages.records import Listing
from leaderboard.reading import read
from leaderboard.rows import NAMES
from leaderboard.verify import same

from benchmarks.rebuild import measure_anew
from evaluator.errors import StoreError
from evaluator.records import Store
from evaluator.repository import Repository
from tests.site.methods import metadata_of, write_submission
from tests.site.synthetic import Plan, fill, make_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = make_repository(tmp_path / "checkout")
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=2, failures={("uniform-magnitude", "8"): "timeout"}))
    return repository


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


def test_a_rebuild_after_one_method_is_the_build_from_nothing(repository, tmp_path):
    """With what the first build kept, and with nothing kept: the same bytes. Of a title too, which no record has."""
    build(repository, tmp_path / "site", kept=tmp_path / "kept")
    measure_anew(repository, "uniform-magnitude")
    write_submission(repository, metadata_of("global-magnitude") | {"title": "Largest weights"})
    build(repository, tmp_path / "site", kept=tmp_path / "kept")
    build(repository, tmp_path / "scratch", kept=tmp_path / "other")
    assert same(tmp_path / "site", tmp_path / "scratch") == []
    assert b"2026-09-01" in (tmp_path / "site" / "index.html").read_bytes()
    (page,) = (tmp_path / "site" / "records" / "global-magnitude").iterdir()
    assert b"Largest weights" in page.read_bytes()


def test_rows_are_the_same_from_the_file_and_from_what_was_kept(repository, kept, monkeypatch):
    fresh = list(read(Store(repository.published), "published", NOTHING))
    first = list(read(Store(repository.published), "published", kept))
    monkeypatch.setattr(reading, "read_file", None)
    again = list(read(Store(repository.published), "published", kept))
    ways = [[[getattr(row, name) for name in NAMES] for row in found] for found in (first, fresh, again)]
    assert ways[0] == ways[1] == ways[2] == [list(row.whole) for row in again]
    assert [list(map(type, row)) for row in ways[2]] == [list(map(type, row)) for row in ways[1]]
    assert {row.status for row in again} == {"ok", "timeout"}


def test_a_file_that_changed_is_read_anew(repository, kept):
    store = Store(repository.published)
    list(read(store, "published", kept))
    path = store.path("digits-mlp", "uniform-magnitude")
    path.write_text(path.read_text().replace('"seed":0', '"seed":"none"', 1))
    with pytest.raises(StoreError, match="seed"):
        list(read(store, "published", kept))


def test_nothing_is_taken_over_from_other_code(repository, kept, monkeypatch):
    list(read(Store(repository.published), "published", kept))
    monkeypatch.setattr(reading, "code", lambda: "another version")
    monkeypatch.setattr(reading, "read_file", lambda *_: [])
    assert list(read(Store(repository.published), "published", kept)) == []


def test_a_page_whose_part_was_kept_is_not_rendered_again(repository, tmp_path, monkeypatch):
    build(repository, tmp_path / "site", kept=tmp_path / "kept")
    monkeypatch.setattr(Listing, "targets", None)
    build(repository, tmp_path / "again", kept=tmp_path / "kept")
    assert same(tmp_path / "site", tmp_path / "again") == []
    monkeypatch.setattr(render, "_templates", lambda: "others")
    with pytest.raises(TypeError):
        build(repository, tmp_path / "again", kept=tmp_path / "kept")


def test_what_is_damaged_is_as_good_as_gone(kept, tmp_path):
    assert kept.read("one") is None
    kept.write("one", "a line\nand ü\n")
    assert kept.read("one") == "a line\nand ü\n"
    path = tmp_path / "kept" / "one"
    for content in (b"", path.read_bytes()[:-1], b"\xff\n" + path.read_bytes()):
        path.write_bytes(content)
        assert kept.read("one") is None


def test_what_was_not_used_for_longest_goes_first(kept, tmp_path):
    for position, name in enumerate(("old", "used", "new")):
        kept.write(name, "x" * 100)
        os.utime(tmp_path / "kept" / name, (position, position))
    kept.read("used")
    kept.sweep(room=400)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"used", "new"}
    kept.sweep(room=0)
    assert list((tmp_path / "kept").iterdir()) == []
