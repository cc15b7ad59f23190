"""Search: every page is found by its title, headings and words, from file://; without a script all pages are listed."""

from __future__ import annotations

import json

import pytest
from leaderboard import search
from leaderboard.pages.site import Page


@pytest.fixture(scope="module")
def entries(site):
    text = (site.folder / search.FILE).read_text(encoding="utf-8")
    return {one["path"]: one for one in json.loads(text.removeprefix(f"{search.CALL}(").removesuffix(");\n"))}


def test_every_page_is_in_the_index_and_in_the_list(site, entries):
    """But for those of single records, to which the figures on these pages lead."""
    pages = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*.html")} - set(search.NO_PLACES)
    pages = {path for path in pages if not path.startswith(search.RECORDS)}
    assert set(entries) == pages
    listed = (site.folder / "search.html").read_text(encoding="utf-8")
    listed = listed[listed.index('id="everything"') :]
    assert all(f'href="{path}"' in listed for path in pages)


def test_places_exist(site, entries):
    """Headings of boards, and rows of papers."""
    for path, one in entries.items():
        text = (site.folder / path).read_text(encoding="utf-8")
        assert all(f'id="{anchor}"' in text for anchor, _ in one["places"]), path
    assert len(entries["literature/papers.html"]["places"]) >= 81


def test_words_are_words():
    text = "<p>Caf&eacute;, ResNet-20; 98.4 0123456789ab</p><script>hidden</script>"
    table = '<table class="plain records"><tr><td>cell</td></tr></table>'
    html = f'<title>x</title><nav>menu</nav><main><h2 id="a">Which <b>one</b>?</h2>{text}{table}</main>'
    one = search.entry(Page("a.html", "", "A", "about"), [search.find(search.main_of(html))])
    assert one["words"].split() == ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "one", "resnet-20", "which"]
    assert one["places"] == [("a", "Which one ?")]


def sought(page, words):
    page.get_by_label("Words").fill(words)
    return page.eval_on_selector_all("#hits > li > a", "links => links.map(a => a.textContent)")


def test_reader_finds(site, visit):
    """By the beginning of a word, in any order; titles first; the address holds what was sought."""
    seen = visit(site.folder / "search.html")
    page = seen.page
    assert sought(page, "LAM")[0] == "LAMP"
    assert page.evaluate("location.hash") == "#q=LAM"
    assert not page.locator("#everything").is_visible()
    assert sought(page, "magnitude glob")[0] == "Global magnitude"
    assert "(JPEG)" in sought(page, "jpeg")[0], "behind a bracket a word begins, too"
    assert sought(page, "lenet 300") == sought(page, "lenet300") != []
    assert "MNIST / LeNet-300-100" in sought(page, "lenet 300")[0]
    assert sought(page, "2:4") != [], "a pattern is a word"
    assert sought(page, "xyzzy lamp") == []
    assert page.locator("#found").inner_text() == "0 pages"
    assert sought(page, "") == []
    assert page.locator("#everything").is_visible()
    page.get_by_label("Words").fill("one-shot unstructured")
    page.locator("#hits p a").first.click()
    page.wait_for_url(
        lambda url: url.partition("#")[2].endswith("one-shot-unstructured-digits-retraining-cpu-published-title")
    )
    assert seen.console == []


def test_link_to_a_search(site, visit):
    page = visit(site.folder / "search.html", fragment="#q=lamp%20%3Cb%3E").page
    assert page.get_by_label("Words").input_value() == "lamp <b>"
    page.evaluate("location.hash = '#q=erk'")
    page.wait_for_function("document.querySelector('#hits a')?.textContent === 'ERK magnitude'")
