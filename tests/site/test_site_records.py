"""Every record has a place of its own, says there all that it says, and every figure of a table leads to its records."""

from __future__ import annotations

import gzip
import re
from html import unescape

import pytest
from leaderboard.build import gather

from evaluator.records import Store
from evaluator.records.record import DENSE

BENCHMARK = "benchmarks/mnist-lenet-300-100.html"
LAMP = "records/lamp/mnist-lenet-300-100-one-shot-unstructured-lenet-300-100-retraining-cpu-published.html"


@pytest.fixture(scope="module")
def places(site):
    """Path and identifier of every record's place -> its text, without tags."""
    found = {}
    for path in site.folder.glob("records/*/*.html"):
        page = path.read_text(encoding="utf-8")
        for part in page.split('<details class="record">')[1:]:
            name = re.search(r'<div id="([^"]+)">', part).group(1)
            text = unescape(re.sub(r"<[^>]+>", " ", part.split("</details>")[0]))
            found[path.relative_to(site.folder).as_posix(), name] = text
    return found


def test_every_record_has_a_place_with_its_digests(site, places):
    """Failures, controls, the dense control and what this machine measured too."""
    results = gather(site.repository).results
    expected = {
        (board.key.records(slug), f"{row.target}-{row.variant}-{row.seed}"): row
        for board in results.boards
        for slug, rows in (*board.by_submission.items(), (DENSE, board.dense_rows))
        for row in rows
    }
    assert set(places) == set(expected)
    for place, row in expected.items():
        text = places[place]
        digests = [row.prune_key, row.score_key, row.artifact, row.after_predictions, row.before_predictions]
        assert all(one in text for one in digests if one), place
        assert f"espalier evaluate {row.submission} --cell {row.cell} --force" in text
        assert row.log.strip() in text
        assert ("Another CPU, PyTorch 2.11.0, Python 3.11.2, Espalier 0.1.0, Linux" in text) is (row.pruned_in is not None)
        if row.status != "ok":
            assert row.status.replace("_", " ") in text
            assert row.reason in text


def test_a_page_says_all_that_its_records_say(site):
    """Inputs, environment and counts per layer: what differs at the record, what does not above it."""
    page = unescape((site.folder / LAMP).read_text(encoding="utf-8"))
    for record in Store(site.repository.published).read("mnist-lenet-300-100", "lamp").values():
        named = [value for value in record.inputs.model_dump().values() if isinstance(value, str)]
        named += [value for value in record.environment.model_dump().values() if value]
        assert [value for value in named if str(value) not in page] == []
        if record.counts:
            kept = ", ".join(f"{layer.kept:,}".replace(",", "\u202f") for layer in record.counts.layers)
            assert f"<dd>{kept}</dd>" in page
    head = page[: page.index('<details class="record">')]
    assert "Synthetic CPU" in head
    assert page.count("Synthetic CPU") == 1


def test_a_figure_leads_to_the_records_it_is_the_mean_of(site, places):
    page = (site.folder / BENCHMARK).read_text(encoding="utf-8")
    panel = page[page.index('<div class="panel after">') : page.index('<div class="panel before">')]
    link = r'<a class="source" href="\.\./(records/[^"#]+)#([^"]+)"><span class="top1"><span class="num">([\d.]+)'
    links = re.findall(link, panel)
    assert len(links) > 40
    for path, anchor, mean in links:
        variant = anchor if "-" in anchor else f"{anchor}-method"
        texts = [text for (where, name), text in places.items() if where == path and name.rpartition("-")[0] == variant]
        scores = [float(re.search(r"Top-1 after\s+([\d.]+) %", text).group(1)) for text in texts if "Top-1 after" in text]
        assert sum(scores) / len(scores) == pytest.approx(float(mean), abs=0.011), (path, anchor)


def test_a_failed_cell_leads_to_its_record(site):
    place = LAMP + "#16-method-0"
    assert f'href="../{place}"' in (site.folder / BENCHMARK).read_text(encoding="utf-8")
    assert f'href="../{place}"' in (site.folder / "methods/lamp.html").read_text(encoding="utf-8")


def test_pages_stay_small(site):
    """A page under 100 kB compressed at the 75 records of five seeds, five targets and two controls."""
    for path in site.folder.glob("records/*/*.html"):
        page = path.read_bytes()
        count = page.count(b'<details class="record">')
        assert len(gzip.compress(page)) < 5_000 + 1_000 * count, path


def test_an_address_opens_its_record(site, visit):
    """By the browser alone; the figure of a table is the way there."""
    seen = visit(site.folder / LAMP, fragment="#8-matched-random-1")
    assert seen.page.locator("[id='8-matched-random-1']").is_visible()
    assert not seen.page.locator("[id='8-matched-random-2']").is_visible()
    assert seen.console == []
    page = visit(site.folder / BENCHMARK).page
    page.locator(".panel.after tbody[data-slug=lamp] a.source", has_text=re.compile(r"^\d\d\.\d\d ±")).first.click()
    page.wait_for_url("**/records/lamp/*")
    assert page.locator("h2", has_text="2\N{MULTIPLICATION SIGN}").first.is_visible()
