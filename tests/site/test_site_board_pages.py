"""A page for each board where a benchmark has several; a single one stands on its benchmark's page."""

from __future__ import annotations

import gzip
import json
import re
from html import unescape

import pytest
from leaderboard import chooser, comparison, words
from leaderboard.build import gather
from leaderboard.pages import benchmark, board
from leaderboard.pages.site import board_of
from leaderboard.writing import write_pages

from evaluator.repository import Repository
from tests.site.methods import ALL_KINDS
from tests.site.synthetic import CHECKOUT, Plan, fill, make_repository, open_everything

NAME = "digits-cnn"
PAGE = f"benchmarks/{NAME}.html"
BOARD = "one-shot-unstructured-digits-retraining-cpu-published"
MOST = 100_000
"""Bytes of a page, compressed."""


@pytest.fixture(scope="module")
def gathered(many):
    return gather(many.repository)


def cards(many):
    """Identifier -> what its card says, without tags."""
    text = unescape((many.folder / PAGE).read_text(encoding="utf-8"))
    parts = re.findall(r'<li class="card" id="([^"]+)">(.*?)</li>', text, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", part).split()) for name, part in parts}


def test_each_board_has_a_card_and_a_page(many, gathered):
    """Who leads, how many stand there, how much is measured; and the way to all of it, and to the boards beside."""
    said = cards(many)
    assert len(said) == len(gathered.standings) == 10
    for standings in gathered.standings:
        standing, key = next(iter(standings.values())), board_of(standings).key
        leading = [slug for slug, (low, _) in standing.ranking().items() if low == 1]
        assert all(gathered.titles[slug] in said[key.anchor] for slug in leading)
        cells = len(standing.methods) * len(standing.frame.feasible) * len(standing.frame.seeds)
        assert re.search(rf"Cells {cells} of \d+ measured", said[key.anchor])
        page = (many.folder / gathered.page_of(key)).read_text(encoding="utf-8")
        assert page.count('<section class="board"') == 1
        assert page.count('aria-current="page"') == 1
        [beside] = re.findall(r'<nav class="boards".*?</nav>', page, re.DOTALL)
        assert beside.count(f'href="../../benchmarks/{NAME}/') == 10
        assert f'href="../../{PAGE}"' in page
    assert "on this machine" in said[next(name for name in said if name.endswith("-local"))]


def test_a_card_counts_who_is_not_there(many):
    """By metadata: the other methods of the division that the track takes."""
    assert "Methods 2 of 4 that may stand here" in cards(many)[BOARD]
    assert re.search(r"Cells 18 of 36 measured", cards(many)[BOARD])


def test_a_single_board_is_its_benchmarks_page(site):
    """No page that only leads to another."""
    page = (site.folder / "benchmarks" / "digits-mlp.html").read_text(encoding="utf-8")
    assert page.count('<section class="board"') == 1
    assert '<li class="card"' not in page
    assert not (site.folder / "benchmarks" / "digits-mlp").exists()


def test_whatever_leads_to_a_board_leads_to_its_page(many, gathered):
    """Links, and what the scripts make links from."""
    pages = {gathered.page_of(board_of(standings).key) for standings in gathered.standings}
    for path in many.folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"{NAME}\.html#(?!about)", text), path
    for name in ("index.html", "findings.html", "methods/global-magnitude.html", "compare.html"):
        text = (many.folder / name).read_text(encoding="utf-8")
        assert any(f'{page}"' in text for page in pages), name
    _, text = chooser.file(gathered)
    menus = json.loads(text.removeprefix(f"{chooser.CALL}(").removesuffix(");\n"))
    assert {menu["href"] for menu in menus} == pages
    for standings in gathered.standings:
        data = comparison.board_data(gathered, standings)
        assert data["href"] in pages
        figures = (many.folder / data["charts"]).read_text(encoding="utf-8")
        assert all(f'"chart-{phase["chart"]}-{axis["id"]}"' in figures for phase in data["phases"] for axis in phase["axes"])


def test_who_was_measured_without_a_sandbox_is_named(many, gathered):
    """On the card and on the board, with the way to the records; on published boards there is nobody."""
    local = board_of(gathered.standings[-1])
    named = f'<a class="own" href="../{{}}{local.key.records("global-magnitude")}">Global magnitude</a>'
    for path, root in ((PAGE, ""), (gathered.page_of(local.key), "../")):
        text = (many.folder / path).read_text(encoding="utf-8")
        [banner] = re.findall(r"<p class=\"banner alarm\">.*?</p>", text)
        assert named.format(root) in banner
    published = gathered.page_of(board_of(gathered.standings[0]).key)
    assert "banner alarm" not in (many.folder / published).read_text(encoding="utf-8")


def test_old_addresses_lead_on(many, visit):
    """A place on the benchmark's page is the card now; a view of a board is that of its page."""
    seen = visit(many.folder / PAGE, fragment=f"#{BOARD}")
    assert seen.page.locator(f"[id='{BOARD}'].card").evaluate("card => card.matches(':target')")
    page = visit(many.folder / PAGE, fragment=f"#board={BOARD}&phase=before&m=global-magnitude").page
    page.wait_for_url(f"**/{NAME}/{BOARD}.html#board={BOARD}&phase=before&m=global-magnitude")
    assert page.locator(".panel.before").is_visible()
    assert page.locator("tbody.picked:visible").get_attribute("data-slug") == "global-magnitude"
    assert seen.console == []


def test_a_card_is_one_click_from_its_board(many, visit):
    """Anywhere on it; its methods keep their own links."""
    page = visit(many.folder / PAGE).page
    page.locator(f"[id='{BOARD}'] .small").click(force=True)
    page.wait_for_url(f"**/{NAME}/{BOARD}.html")
    page.go_back()
    page.locator(f"[id='{BOARD}'] a.own").first.click()
    page.wait_for_url("**/methods/*.html")


def _weights(repository, folder):
    """Path -> bytes, of the pages of benchmarks and boards."""
    site = gather(repository, local=False)
    pages = [*benchmark.pages(site), *board.pages(site)]
    write_pages(folder, site, pages)
    return {page.path: len(gzip.compress((folder / page.path).read_bytes())) for page in pages}


def test_pages_of_the_records_stay_light(tmp_path):
    assert max(_weights(Repository(CHECKOUT), tmp_path).values()) < MOST


def test_pages_of_ten_boards_stay_light(tmp_path):
    """With more methods on each than a chart draws strongly."""
    repository = make_repository(tmp_path)
    open_everything(repository, NAME)
    fill(repository, Plan(benchmarks=(NAME,), methods=14, kinds=ALL_KINDS))
    weights = _weights(repository, tmp_path / "public")
    assert len([path for path in weights if path.startswith(f"benchmarks/{NAME}/")]) == len(ALL_KINDS)
    assert max(weights.values()) < MOST
    assert weights[PAGE] < 60_000


def test_a_board_says_what_its_columns_and_ranks_mean(many, gathered):
    """In sight, and not only to who points at a heading; with the way to the definitions."""
    for standings in gathered.standings:
        standing, key = next(iter(standings.values())), board_of(standings).key
        text = unescape((many.folder / gathered.page_of(key)).read_text(encoding="utf-8"))
        [said, *_] = re.findall(r'<dl class="fronts meanings">(.*?)</dl>', text, re.DOTALL)
        headings = re.findall(r'<th scope="col" class="figure sortable"[^>]* title="([^"]+)"', text[: text.index("<tbody")])
        assert len(headings) >= 2 + 2 * len([axis for axis in standing.axes if axis])
        assert all(heading in said for heading in headings if heading != "seeds")
        assert 'protocol.html#summary-figures">' in said
        assert (words.RANKS in text) == (len(standing.methods) > 1)
    assert 'id="summary-figures"' in (many.folder / "protocol.html").read_text(encoding="utf-8")


def test_a_board_of_this_machine_leads_to_the_published_one(many, gathered):
    """And says by which command others stand on it; alone, a method is no front and has no rank."""
    [local] = [one for one in gathered.standings if board_of(one).key.origin == "local"]
    text = unescape((many.folder / gathered.page_of(board_of(local).key)).read_text(encoding="utf-8"))
    assert f'<a href="../../benchmarks/{NAME}/{BOARD}.html">the published board</a>' in text
    assert f"<code>espalier evaluate SLUG --benchmark {NAME} --force</code>" in text
    assert "Pareto front" not in text
    assert 'class="sub rank' not in text
    published = many.folder / "benchmarks" / NAME / f"{BOARD}.html"
    assert "espalier evaluate SLUG" not in published.read_text(encoding="utf-8")
