"""What is kept between builds changes no byte, is never believed blindly, and has a bounded size."""

from __future__ import annotations

import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest
from jinja2 import UndefinedError
from leaderboard import reading, render
from leaderboard.build import build, gather
from leaderboard.kept import NOTHING, Kept
from leaderboard.pages.records import Listing
from leaderboard.pages.site import Content, Page, Part
from leaderboard.pictures import Drawer
from leaderboard.reading import read
from leaderboard.render import Renderer
from leaderboard.rows import HELD, NAMES, Row
from leaderboard.sources import source
from leaderboard.verify import same
from pydantic import TypeAdapter

from benchmarks.rebuild import measure_anew, worse
from evaluator.errors import StoreError
from evaluator.grid import load_grid
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


def one_record(submission, variant):
    """One image less for a network."""

    def change(repository):
        store = Store(repository.published)
        found = [record for record in store.by(submission) if record.variant == variant]
        store.add([worse(found[len(found) // 2])])

    return change


def lost(repository):
    """A record of a method is no longer there."""
    path = Store(repository.published).path("digits-mlp", "uniform-magnitude")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def reported(repository):
    """What the paper of a method says, on the very data and network."""
    claim = {
        "dataset": "Digits",
        "architecture": "MLP",
        "metric": "top-1",
        "value": 93.5,
        "compression": 4,
        "source": "Table 1",
    }
    title = load_grid(repository.grid).benchmarks["digits-mlp"].title
    claim |= dict(zip(("dataset", "architecture"), title.split(" / "), strict=True))
    write_submission(repository, metadata_of("global-magnitude") | {"reported": [claim]})


def called(repository):
    """The grid has another title for a benchmark."""
    path = repository.grid / "benchmarks.yaml"
    path.write_text(path.read_text().replace("title: ", "title: New ", 1))


def measured_anew(repository):
    """A whole method, which has another title too: no record has that."""
    measure_anew(repository, "uniform-magnitude")
    write_submission(repository, metadata_of("uniform-magnitude") | {"title": "Smallest weights go"})


CHANGES = {
    "a whole method": measured_anew,
    "of a method": one_record("uniform-magnitude", "method"),
    "of a control": one_record("global-magnitude", "matched-magnitude"),
    "of the dense control": one_record("dense", "dense"),
    "lost": lost,
    "reported": reported,
    "another method": lambda repository: fill(repository, Plan(benchmarks=("digits-mlp",), methods=3)),
    "called": called,
    "measured here": lambda repository: fill(repository, Plan(benchmarks=("digits-mlp",), methods=1), local=True),
}


def test_rows_hold_what_their_types_say(repository: Repository) -> None:
    """Columns come from a list, and types from a class: both say the same of records that are scored, failed and dense."""
    types = {name: TypeAdapter(kind) for name, kind in get_type_hints(Row).items() if name in HELD}
    assert tuple(types) == HELD
    for row in read(Store(repository.published), "published", NOTHING):
        for name, kind in types.items():
            kind.validate_python(getattr(row, name), strict=True)


def test_after_any_change_a_rebuild_is_the_build_from_nothing(repository, tmp_path):
    """One after the other, in an order drawn by chance: no page is left as it was that should be another. Of what is kept,
    only drawings are there for both, whose names are what they show."""
    build(repository, tmp_path / "site", kept=tmp_path / "kept")
    for name in random.Random(5).sample(list(CHANGES), len(CHANGES)):
        before = (tmp_path / "site" / "index.html").read_bytes()
        CHANGES[name](repository)
        build(repository, tmp_path / "site", kept=tmp_path / "kept")
        fresh = tmp_path / name
        fresh.mkdir()
        for drawing in (tmp_path / "kept").glob("*.svg"):
            shutil.copy(drawing, fresh)
        build(repository, tmp_path / "scratch", kept=fresh)
        assert same(tmp_path / "site", tmp_path / "scratch") == [], name
        assert name in ("reported",) or (tmp_path / "site" / "index.html").read_bytes() != before, name
    assert b"2026-09-01" in (tmp_path / "site" / "index.html").read_bytes()
    (page,) = (tmp_path / "site" / "records" / "uniform-magnitude").glob("*published*")
    assert b"Smallest weights go" in page.read_bytes()


def test_a_part_of_a_page_sees_nothing_of_the_site_but_its_sources(repository, tmp_path, monkeypatch):
    """What is not in them, it could not be kept by."""
    monkeypatch.setattr(render, "TEMPLATES", tmp_path)
    (tmp_path / "part.html").write_text("{{ site.date }}")
    renderer = Renderer(gather(repository), NOTHING, Drawer())
    part = Part("part.html", source("x"), lambda: Content({}))
    with pytest.raises(UndefinedError, match="site"):
        renderer.piece(Page("a.html", "", "A", "about"), part)


def test_sources_know_what_decides_a_value(repository):
    """Each change is another source; what nobody knows is refused."""
    standings = gather(repository).standings[0]
    alone = standings["after"].alone("uniform-magnitude")
    frame = replace(alone.frame, targets=alone.frame.targets[1:])
    board = replace(alone.board, records=alone.board.records[1:])
    values = [1, 1.0, True, "1", None, [1], {"1": 1}, alone, replace(alone, frame=frame), replace(alone, board=board),
              standings["after"].alone("global-magnitude"), standings["after"], standings["before"]]  # fmt: skip
    assert len({source(value) for value in values}) == len(values)
    assert source(replace(alone)) == source(alone)
    with pytest.raises(TypeError, match="object"):
        source([object()])


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


def test_sweeping_while_another_build_writes_stumbles_over_nothing(tmp_path: Path) -> None:
    """What it finds has another name, or is gone, by the time it looks."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            Kept(tmp_path).write("one", "text" * 100)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(write)
        try:
            for _ in range(300):
                Kept(tmp_path).sweep()
        finally:
            stop.set()
    other.result()
    assert Kept(tmp_path).read("one") == "text" * 100
