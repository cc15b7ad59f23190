"""One page of each kind, on a phone, a tablet and a desk, light and dark: axe finds nothing, and nothing scrolls sideways.

axe-core is vendored for these tests alone (`vendor/manifest.json`); the site does not ship it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluator.canonical import digest_file
from tests.site.test_site_browser import RECORDS, draw_all

VENDOR = Path(__file__).parent / "vendor"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
"""Rules whose outcome may differ between widths and colours; the others are run once on a desk and once on a phone."""
WIDTHS = (1440, 800, 360)
PAGES = ("index.html", "benchmarks/mnist-lenet-300-100.html", "benchmarks/digits-cnn.html", "methods/lamp.html",
         RECORDS, "methods.html", "taxonomy.html", "compare.html", "findings.html", "literature.html",
         "literature/papers.html", "news.html", "search.html", "protocol.html", "contribute.html", "guide.html", "data.html",
         "404.html")  # fmt: skip
BOARDS = ("benchmarks/digits-cnn.html", "benchmarks/digits-cnn/one-shot-structured-digits-retraining-cpu-published.html")
"""Of a benchmark with several."""
PAPER = 703
"""Pixels between the margins of A4: 186 mm."""
FOLDS = ", ".join(f"{fold}:not([open]) > summary" for fold in
                  ("details:not(.record)", "section:is([id='2'], [id='16']) h3 + details.record"))  # fmt: skip
"""What is opened; of the records, the first of each kind at a target where all is well and at one where not."""
RUN = """only => axe.run(document, {runOnly: only, preload: false, resultTypes: ['violations']})
  .then(all => all.violations.map(v => `${v.id} (${v.nodes.length}): ${v.nodes[0].html} ${v.nodes[0].failureSummary}`))"""


@pytest.fixture(scope="module")
def axe():
    return (VENDOR / "axe.min.js").read_text(encoding="utf-8")


def test_vendored_axe_is_what_its_manifest_says():
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    assert digest_file(VENDOR / "axe.min.js") == manifest["sha256"]
    assert (VENDOR / "LICENSE").is_file()


@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible(site, visit, axe, path):
    is_accessible(site.folder / path, visit, axe)


@pytest.mark.parametrize("path", BOARDS)
def test_boards_are_accessible(many, visit, axe, path):
    is_accessible(many.folder / path, visit, axe)


def is_accessible(path, visit, axe):
    seen = visit(path, width=WIDTHS[0])
    page = seen.page
    draw_all(page)
    for fold in page.query_selector_all(FOLDS):
        if fold.is_visible():
            fold.click()
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            whole = (scheme, width) in {("light", WIDTHS[0]), ("dark", WIDTHS[-1])}
            only = {"type": "tag", "values": TAGS} if whole else {"type": "rule", "values": LOOKS}
            assert page.evaluate(RUN, only) == [], f"{width} px, {scheme}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{width} px, {scheme}"
    assert seen.console == []


def test_board_is_worked_by_keyboard(site, visit):
    """Filters, switches, sorting and picking, from the first to the last by keys alone, each with a visible focus."""
    page = visit(site.folder / "benchmarks/digits-mlp.html").page
    summary = page.locator("details.options > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "compression"
    assert not page.locator('.panel.after figure[data-axis="speedup"]').is_visible()
    outline = "getComputedStyle(document.querySelector('.switch input:focus-visible + label')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.keyboard.press("ArrowDown")
    assert "board=" in page.evaluate("location.hash")
    names = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        names.add(page.evaluate("document.activeElement.closest('.legend, thead, .scroll, .told')?.className ?? ''"))
    assert {"legend", "scroll", "told scripted"} <= names


@pytest.mark.parametrize("path", ["benchmarks/mnist-lenet-300-100.html", "methods/lamp.html", "compare.html", RECORDS])
def test_paper_holds_all_of_a_page(site, visit, path):
    """Printed on A4, upright, nothing is cut off, charts fit whether drawn or alive, and colours are those of paper."""
    page = visit(site.folder / path).page
    draw_all(page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 1000})
    wide = """width => [...document.querySelectorAll('table, svg, p, pre')].filter(e => e.checkVisibility())
      .filter(e => e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide, PAPER) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").first.is_visible()
