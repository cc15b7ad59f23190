"""The built site in a real Chromium, from file:// and over a slow line."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.site.specifications import specifications
from tests.site.synthetic import CHECKOUT

RECORDS = "records/lamp/mnist-lenet-300-100-one-shot-unstructured-lenet-300-100-retraining-cpu-published.html"
PAGES = ("index.html", "benchmarks/mnist-lenet-300-100.html", "benchmarks/digits-cnn.html", "benchmarks/mnist-lenet-5.html",
         "methods/lamp.html", RECORDS, "methods.html", "taxonomy.html", "compare.html", "findings.html", "literature.html",
         "literature/papers.html", "literature/results.html", "literature/pairs.html", "protocol.html", "contribute.html",
         "guide.html", "data.html", "404.html")  # fmt: skip
BENCHMARK = "benchmarks/mnist-lenet-300-100.html"


def draw_all(page) -> None:
    """Scroll every visible chart into view and wait until it is live."""
    for figure in page.query_selector_all("figure.chart"):
        if figure.is_visible():
            figure.scroll_into_view_if_needed()
            page.wait_for_function("f => f.classList.contains('drawn')", arg=figure, timeout=10_000)


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_quiet_and_offline(site, visit, path):
    """No message in the console, no request but for the site's own files."""
    seen = visit(site.folder / path)
    draw_all(seen.page)
    assert seen.console == []
    root = site.folder.as_uri()
    assert [url for url in seen.requests if not url.startswith((root, "data:"))] == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(site, visit, path):
    page = visit(site.folder / path, width=360).page
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("path", ["contribute.html", "guide.html"])
def test_code_is_not_cut_on_a_desk(site, visit, path):
    """Blocks are as wide as their lines; running text keeps the measure that reads well."""
    page = visit(site.folder / path, width=1440).page
    blocks = page.eval_on_selector_all("pre", "all => all.map(pre => [pre.scrollWidth - pre.clientWidth, pre.offsetWidth])")
    assert blocks
    assert {hidden for hidden, _ in blocks} == {0}
    widest = max(page.eval_on_selector_all(".prose > p", "all => all.map(p => p.offsetWidth)"))
    assert widest == 44 * 16 <= min(width for _, width in blocks)


def test_the_guide_is_the_checkouts(site):
    """Who has only the site reads it there, from set-up to pull request; the short page leads to it."""
    text = unescape((site.folder / "guide.html").read_text(encoding="utf-8"))
    lines = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    headings = [line.lstrip("# ") for line in lines if line.startswith("## ")]
    assert headings
    assert all(f">{heading}</h2>" in text for heading in headings)
    assert "nox -s lint" in text
    assert '<a href="guide.html">' in (site.folder / "contribute.html").read_text(encoding="utf-8")


def test_charts_have_the_expected_marks(site, visit):
    """One symbol for every mean, one dot for every seed, drawn from the page's own specification."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    figures = [figure for figure in page.query_selector_all("figure.chart") if figure.is_visible()]
    assert len(figures) == 2
    for figure in figures:
        data = specifications(site.folder, BENCHMARK)[figure.get_attribute("id")]["datasets"]
        symbols = figure.eval_on_selector_all(".live .mark-symbol path", "marks => marks.length")
        assert symbols == len(data["means"]) + sum(len(row["as"]) for row in data["means"])
        assert len(data["means"]) == 4 * 5 - 1  # one target of one method failed
        assert sum(len(row["as"]) for row in data["means"]) == 4 * 5 * 3 - 3 - 1
        assert figure.query_selector(".canvas > svg.marks") is None


def test_static_drawing_has_the_same_marks(site):
    """What stands where no script runs."""
    text = (site.folder / BENCHMARK).read_text(encoding="utf-8")
    figure = text[text.index('<figure class="chart"') : text.index("</figure>")]
    data = next(iter(specifications(site.folder, BENCHMARK).values()))["datasets"]
    symbols = sum(group.split("</g>")[0].count("<path") for group in figure.split('<g class="mark-symbol')[1:])
    assert symbols == len(data["means"]) + sum(len(row["as"]) for row in data["means"])


def test_nothing_moves_when_a_chart_comes_alive(site, visit):
    page = visit(site.folder / BENCHMARK).page
    tops = "all => all.filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().top + scrollY)"
    before = page.eval_on_selector_all("h2, table, figcaption", tops)
    draw_all(page)
    assert page.eval_on_selector_all("h2, table, figcaption", tops) == pytest.approx(before, abs=1)


def test_table_sorts_and_keeps_controls_with_their_method(site, visit):
    page = visit(site.folder / BENCHMARK).page
    order = "bodies => bodies.map(b => b.dataset.slug)"
    rows = ".panel.after tbody[data-slug]"
    first = page.eval_on_selector_all(rows, order)
    heading = page.locator(".panel.after thead th", has_text="8\N{MULTIPLICATION SIGN}")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    values = page.eval_on_selector_all(rows, "bodies => bodies.map(b => Number(b.rows[0].cells[7].dataset.value))")
    assert values == sorted(values, reverse=True)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.eval_on_selector_all(rows, order) != first
    assert set(page.eval_on_selector_all(rows, "bodies => bodies.map(b => b.rows.length)")) == {3}
    assert page.eval_on_selector(".panel.after tbody", "b => b.className") == "dense"


def test_row_without_a_figure_sorts_last(site, visit):
    page = visit(site.folder / BENCHMARK).page
    button = page.locator(".panel.after thead th", has_text="16\N{MULTIPLICATION SIGN}").get_by_role("button")
    for _ in range(2):
        button.click()
        assert page.eval_on_selector_all(".panel.after tbody[data-slug]", "b => b.at(-1).dataset.slug") == "lamp"


def test_switch_between_phases(site, visit):
    """Radio buttons and the style sheet alone."""
    page = visit(site.folder / BENCHMARK).page
    assert page.locator(".panel.after").is_visible()
    assert not page.locator(".panel.before").is_visible()
    page.get_by_text("before retraining", exact=True).click()
    assert page.locator(".panel.before").is_visible()
    assert not page.locator(".panel.after").is_visible()
    draw_all(page)


def test_matched_controls_can_be_hidden(site, visit):
    page = visit(site.folder / BENCHMARK).page
    control = page.locator(".panel.after tbody[data-slug] tr.control").first
    assert control.is_visible()
    page.locator(".panel.after .show-controls").uncheck()
    assert not control.is_visible()


def test_legend_brings_out_a_method(site, visit):
    """In the charts and in the table."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    button = page.locator(".panel.after .legend button", has_text="LAMP")
    button.click()
    page.mouse.move(0, 0)
    assert button.get_attribute("aria-pressed") == "true"
    assert "picked" in page.locator(".panel.after tbody[data-slug=lamp]").get_attribute("class")
    page.wait_for_function("document.querySelectorAll('.panel.after .live .mark-symbol path[opacity=\"0.3\"]').length > 10")


def test_tooltip_shows_the_figure(site, visit):
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    page.locator(".panel.after figure.chart").first.locator(".live g.layer_6_marks path").last.hover(force=True)
    page.wait_for_function("document.querySelector('#vg-tooltip-element')?.classList.contains('visible')")
    assert "n = 3" in page.locator("#vg-tooltip-element").inner_text()


@pytest.mark.parametrize(("scheme", "paper"), [("light", (251, 250, 246)), ("dark", (20, 23, 15))])
def test_chart_is_saved_without_a_request(site, visit, tmp_path, scheme, paper):
    """In the page's colours, which nothing outside of it knows, and it says itself what it shows."""
    seen = visit(site.folder / BENCHMARK)
    seen.page.emulate_media(color_scheme=scheme)
    draw_all(seen.page)

    def saved(kind: str) -> Path:
        with seen.page.expect_download() as waiting:
            seen.page.get_by_role("button", name=f"Save this chart as {kind}").first.click()
        waiting.value.save_as(tmp_path / kind)
        return tmp_path / kind

    drawing = saved("SVG").read_text()
    assert "<svg" in drawing
    assert not re.search(r"var\(|light-dark|currentColor", drawing)
    told = ("MNIST / LeNet-300-100", "Top-1 against compression", "grey: same densities, random scores", "Espalier, Grid")
    assert [words for words in told if words not in drawing] == []
    with Image.open(saved("PNG")) as picture:
        colours = picture.convert("RGB").getcolors(picture.width * picture.height)
    assert max(colours)[1] == paper, "most of it is paper"
    assert len(colours) > 100
    assert seen.console == []


def test_a_chart_is_as_high_as_its_place(site, visit):
    """Which is lower on a phone; a tablet is turned, a window made narrow."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    heights = """() => [...document.querySelectorAll('.panel.after figure.drawn .canvas')]
      .map(place => [place, place.querySelector('svg')].map(e => e.getBoundingClientRect().height))"""
    [[before, _], *_] = page.evaluate(heights)
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function(f"before => ({heights})().every(([place, svg]) => place < before && svg <= place)", arg=before)


def test_works_without_javascript(site, visit):
    """Drawings, tables and the switch are all there."""
    text = (site.folder / BENCHMARK).read_text(encoding="utf-8")
    bare = site.folder.parent / "bare"
    (bare / "benchmarks").mkdir(parents=True, exist_ok=True)
    (bare / "static").mkdir(exist_ok=True)
    (bare / "static" / "site.css").write_bytes((site.folder / "static" / "site.css").read_bytes())
    (bare / BENCHMARK).write_text(re.sub(r"<script[^>]* src=[^>]*></script>", "", text), encoding="utf-8")
    page = visit(bare / BENCHMARK).page
    assert page.locator(".panel.after svg.marks").first.is_visible()
    assert page.locator(".panel.after table").is_visible()
    assert not page.locator(".panel.before").is_visible()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", ["index.html", BENCHMARK, "methods/lamp.html", "methods.html", "compare.html"])
def test_nothing_moves(site, browser, path, width):
    """Neither when scripts start nor when charts come alive."""
    page = watched(browser, width)
    page.goto((site.folder / path).as_uri())
    draw_all(page)
    assert page.evaluate("window.moved") < 0.001
    page.close()


@pytest.mark.parametrize("path", ["literature/pairs.html", "literature/papers.html"])
def test_columns_do_not_widen_while_a_table_is_read(site, browser, path):
    """Over a slow line a page comes in pieces, and the longest word of a column may be in the last."""
    page = watched(browser, 1280)
    with served_slowly(site.folder) as address:
        page.goto(f"{address}/{path}")
        page.wait_for_selector("thead button")
        page.wait_for_timeout(100)  # shifts are told after the frame in which they happen
    assert page.evaluate("window.moved") < 0.001
    page.close()


def watched(browser: Any, width: int) -> Any:
    """A new page that adds up its layout shifts in ``window.moved``."""
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script("""window.moved = 0; new PerformanceObserver(list => {
      for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.moved += shift.value;
    }).observe({type: 'layout-shift', buffered: true});""")
    return page


@contextmanager
def served_slowly(folder: Path) -> Iterator[str]:
    """The address of a server that pauses after every 8 kB of a page."""

    class Slow(SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, target: Any) -> None:
            pause = 0.05 if self.path.endswith(".html") else 0
            while piece := source.read(8192):
                target.write(piece)
                time.sleep(pause)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_dark_and_light(site, visit):
    """The button changes the colours, for the charts too."""
    page = visit(site.folder / "index.html").page
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Use dark colours").click()
    assert page.evaluate(colour) != light
    page.get_by_role("button", name="Use light colours").click()
    assert page.evaluate(colour) == light
    page.evaluate("localStorage.clear()")
