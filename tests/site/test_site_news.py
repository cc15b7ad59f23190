"""What is new: every published method of every board once, the newest first, on a page and in a feed that parses."""

from __future__ import annotations

import json
from datetime import datetime
from xml.etree import ElementTree

import pytest
import yaml
from leaderboard.build import build

from tests.site.synthetic import Plan, fill, make_repository

ATOM = "{http://www.w3.org/2005/Atom}"
TITLE = '<script>alert("&")</script> \u2028 ]]> &amp;'


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    repository = make_repository(tmp_path_factory.mktemp("news"))
    fill(repository, Plan(benchmarks=("digits-mlp", "digits-cnn"), methods=3))
    slug = sorted(path.name for path in repository.submissions.iterdir())[0]
    path = repository.submissions / slug / "metadata.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"title": TITLE}))
    build(repository, repository.root / "public")
    return repository


@pytest.fixture
def feed(built):
    return ElementTree.parse(built.root / "public" / "feed.xml").getroot()


def records(built):
    lines = [line for path in built.published.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if record["variant"] == "method"]


def test_every_method_of_every_board_is_there_once(built, feed):
    entries = feed.findall(f"{ATOM}entry")
    expected = {(r["submission"], r["benchmark"], r["track"], r["recipe"]) for r in records(built)}
    assert len(entries) == len(expected)
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert len(set(ids)) == len(ids)
    page = (built.root / "public" / "news.html").read_text()
    assert page.count("<tr>") == len(expected) + 1


def test_the_newest_comes_first_and_is_the_feeds_own_date(built, feed):
    times = [datetime.fromisoformat(entry.findtext(f"{ATOM}updated")) for entry in feed.findall(f"{ATOM}entry")]
    assert times == sorted(times, reverse=True)
    assert datetime.fromisoformat(feed.findtext(f"{ATOM}updated")) == times[0]
    assert times[0] == max(datetime.fromisoformat(r["created"]) for r in records(built))


def test_cells_are_counted(built, feed):
    told = [entry.findtext(f"{ATOM}summary") for entry in feed.findall(f"{ATOM}entry")]
    assert sum(int(text.split(": ")[1].split()[0]) for text in told) == len(records(built))


def test_a_title_is_text(feed):
    titles = [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")]
    assert any(title.startswith(TITLE.replace("\u2028", "\u2028")) for title in titles)


def test_links_lead_somewhere(built, feed):
    for link in feed.iter(f"{ATOM}link"):
        assert (built.root / "public" / link.get("href")).is_file()


def test_nothing_published_is_a_feed_without_entries(tmp_path):
    repository = make_repository(tmp_path)
    build(repository, tmp_path / "public")
    root = ElementTree.parse(tmp_path / "public" / "feed.xml").getroot()
    assert root.findall(f"{ATOM}entry") == []
