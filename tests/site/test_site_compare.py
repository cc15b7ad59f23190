"""Differences in the browser are those of the statistics module; what is chosen stands in the address."""

from __future__ import annotations

import json
import math
import re
from html import unescape

import pytest
from leaderboard import comparison, costs, statistics
from leaderboard.build import build, gather
from leaderboard.evidence import most_telling
from leaderboard.formats import fixed, signed
from leaderboard.pages.compare import all_pairs
from leaderboard.pages.site import board_of, first_of
from leaderboard.rows import to_frame

from tests.site.synthetic import Plan, fill, make_repository, open_everything
from tests.site.test_site_browser import draw_all

BOARD = "mnist-lenet-300-100/one-shot-unstructured-lenet-300-100-retraining-cpu-published"


@pytest.fixture(scope="module")
def gathered(site):
    return gather(site.repository)


def standings(gathered, identifier=BOARD):
    return next(one for one in gathered.standings if comparison.identifier(next(iter(one.values()))) == identifier)


def test_at_a_factor_by_hand():
    assert statistics.at([1, 2, 4], [90, 88, 80], 2**0.5) == pytest.approx(89)
    assert statistics.at([1, 2, 4], [90, 88, 80], 4) == 80
    assert math.isnan(statistics.at([1, 2, 4], [90, 88, 80], 4.1))
    assert math.isnan(statistics.at([1, 2, 4], [90, math.nan, 80], 4))


def test_files_hold_the_records(site, gathered):
    """Every accuracy at a target is that of its record."""
    [name] = [board["file"] for board in index(site) if board["id"] == BOARD]
    text = (site.folder / name).read_text(encoding="utf-8")
    data = json.loads(text.removeprefix(f"{comparison.CALL}(").removesuffix(");\n"))
    frame = to_frame(gathered.results.rows)
    rows = frame[(frame["benchmark"] == "mnist-lenet-300-100") & (frame["variant"] == "method")]
    by_cell = rows.set_index(["submission", "target", "seed"])["after_accuracy"]
    axis = data["phases"][0]["axes"][0]
    assert [column["label"] for column in axis["columns"]] == [
        "2\N{MULTIPLICATION SIGN}",
        "4\N{MULTIPLICATION SIGN}",
        "8\N{MULTIPLICATION SIGN}",
        "16\N{MULTIPLICATION SIGN}",
        "32\N{MULTIPLICATION SIGN}",
        "NAUC",
    ]
    for column in axis["columns"][:-1]:
        for slug, values in column["values"].items():
            for seed, value in enumerate(values):
                known = by_cell.get((slug, column["label"].rstrip("\N{MULTIPLICATION SIGN}"), seed))
                assert value == (None if known is None else pytest.approx(known, abs=1e-6))
    assert all((site.folder / method["records"]).is_file() for method in data["methods"])
    assert data["before"] is False
    assert data["quantiles"][1] == pytest.approx(4.302653, abs=1e-6)


def index(site):
    text = (site.folder / "compare.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="boards">(.*?)</script>', text, re.DOTALL).group(1))


def test_speedup_is_interpolated_within_what_was_measured(gathered):
    """One seed by hand, and nothing beyond the last point."""
    standing = standings(gathered)["after"]
    column = comparison.view(standing, "speedup").columns[0]
    entry = standing.entry("global-magnitude")
    trials = [next(trial for trial in point.trials if trial.seed == 0) for point in entry.points]
    x = [0.0, *(math.log2(trial.speedup) for trial in trials)]
    y = [float(standing.frame.reference[0]), *(trial.accuracy for trial in trials)]
    i = next(i for i in range(len(x)) if x[i + 1] >= 1)
    expected = y[i] + (y[i + 1] - y[i]) * (1 - x[i]) / (x[i + 1] - x[i])
    assert column.label == "2\N{MULTIPLICATION SIGN}"
    assert column.values["global-magnitude"][0] == pytest.approx(expected)


def cells(page):
    """Rows of the live table as text."""
    rows = page.locator("#result tbody tr").all()
    return [[" ".join(cell.split()) for cell in row.locator("th, td").all_inner_texts()] for row in rows]


def words(difference, digits, seeds=3):
    if difference.n == 0:
        return "\N{EN DASH}"
    spread = f" ± {fixed(difference.half, digits)}" if math.isfinite(difference.half) else ""
    return signed(difference.mean, digits) + spread + (f" n = {difference.n}" if difference.n < seeds else "")


@pytest.mark.parametrize("phase", ["after", "before"])
@pytest.mark.parametrize("axis", ["compression", "speedup"])
def test_browser_computes_what_the_statistics_do(site, gathered, visit, phase, axis):
    chosen = ("lamp", "erk-magnitude", "global-magnitude")
    seen = visit(site.folder / "compare.html", fragment=f"#board={BOARD}&phase={phase}&axis={axis}&m={','.join(chosen)}")
    seen.page.wait_for_selector("#result table")
    columns = comparison.view(standings(gathered)[phase], axis).columns
    expected = [
        [words(comparison.difference(column, one, other), column.digits) for column in columns]
        for one, other in (chosen[:2], (chosen[0], chosen[2]), chosen[1:])
    ]
    assert [row[1:-1] for row in cells(seen.page)] == expected
    assert seen.page.locator("#result thead th").all_inner_texts()[1:-1] == [column.label for column in columns]
    assert seen.console == []
    assert all(url.startswith(site.folder.as_uri()) for url in seen.requests)


def test_chosen_methods_are_drawn_and_have_their_costs(site, gathered, visit):
    """In the looks of all other charts, on an axis that goes no further than they do; the chart follows what is chosen."""
    seen = visit(site.folder / "compare.html", fragment=f"#board={BOARD}&m=global-magnitude,uniform-magnitude")
    page = seen.page
    draw_all(page)
    figure = page.locator("#result figure.chart")
    marks, names = figure.locator(".live g.layer_6_marks path"), figure.locator(".live g.layer_7_marks text")
    assert (marks.count(), sorted(names.all_text_contents())) == (2 * 5, ["Global magnitude", "Uniform magnitude"])
    look = gathered.looks["global-magnitude"].colour
    assert f'fill="{look}"' in figure.locator(".live").inner_html()
    assert "Top-1 against compression on MNIST / LeNet-300-100" in figure.locator(".canvas").get_attribute("aria-label")
    boxes = [text.bounding_box() for text in names.all()]
    assert abs(boxes[0]["y"] - boxes[1]["y"]) >= min(box["height"] for box in boxes) - 3
    page.get_by_label("ERK magnitude").check()
    page.get_by_text("by speedup, as realised", exact=True).click()
    wait = "n => document.querySelectorAll('#result .live g.layer_6_marks path').length === n"
    page.wait_for_function(wait, arg=3 * 5)
    assert figure.get_attribute("id").endswith("-after-speedup")
    board = board_of(standings(gathered))
    rows = page.locator("#costs tbody tr")
    assert rows.count() == 3
    shown = rows.first.locator("th, td").all_inner_texts()
    spent = costs.pruning_seconds(board, "global-magnitude")
    assert shown[2] == f"{spent:.1f} s"
    assert shown[3].endswith(" MB")
    assert float(shown[5].removesuffix(" s")) == pytest.approx(costs.seconds(board, "global-magnitude"), abs=0.06)
    assert seen.console == []
    assert all(url.startswith((site.folder.as_uri(), "data:")) for url in seen.requests)


def test_choice_stands_in_the_address(site, visit):
    page = visit(site.folder / "compare.html", fragment="#m=lamp,uniform-magnitude").page
    page.wait_for_selector("#result table")
    checked = page.locator("#methods input:checked").evaluate_all("all => all.map(i => i.value)")
    assert sorted(checked) == ["lamp", "uniform-magnitude"]
    page.get_by_label("Global magnitude").check()
    page.get_by_text("before retraining", exact=True).click()
    assert "phase=before" in page.url
    assert page.url.endswith("m=lamp,uniform-magnitude,global-magnitude")
    again = visit(site.folder / "compare.html", fragment=page.evaluate("location.hash")).page
    again.wait_for_selector("#result table")
    assert cells(again) == cells(page)


def test_another_board_is_loaded_when_chosen(site, visit):
    seen = visit(site.folder / "compare.html")
    seen.page.wait_for_selector("#result table")
    loaded = [url for url in seen.requests if "/data/compare/" in url]
    assert len(loaded) == 1
    seen.page.locator("#board").select_option(
        label=next(b["title"] for b in index(site) if b["title"].endswith("on this machine"))
    )
    seen.page.locator("#result h2", has_text="small CNN").wait_for()
    assert "Measured on this machine, not published." in seen.page.locator("#result").inner_text()
    seen.page.wait_for_selector("#result figure.drawn")
    assert seen.console == [], "whether the chart of the board before was being drawn or not"


def test_each_board_opens_on_its_own_axis_and_the_page_on_the_most_telling(site, gathered, visit):
    page = visit(site.folder / "compare.html").page
    page.wait_for_selector("#result table")
    assert page.locator("#board").input_value() == comparison.identifier(first_of(most_telling(gathered)[0]))
    page.get_by_text("by speedup, as realised", exact=True).click()
    page.locator("#board").select_option(label=next(b["title"] for b in index(site) if "small MLP" in b["title"]))
    page.locator("#result h2", has_text="small MLP").wait_for()
    assert page.locator("#axis input:checked").input_value() == "compression", "what it asks for"


def test_methods_stand_around_the_target_that_they_share(site, visit):
    """Side by side: few of many are not all to one side of it."""
    page = visit(site.folder / "compare.html", fragment=f"#board={BOARD}&m=global-magnitude,uniform-magnitude").page
    draw_all(page)
    middle = "all => all.map(e => { const { x, width } = e.getBoundingClientRect(); return x + width / 2 })"
    marks = page.locator("#result .live g.layer_6_marks path").evaluate_all(middle)
    ticks = page.locator("#result .live .role-axis-label text").evaluate_all(
        f"all => ({middle})(all.filter(e => e.textContent.endsWith('\N{MULTIPLICATION SIGN}')))"
    )
    for place, tick in enumerate(sorted(ticks)):
        one, other = sorted(marks)[2 * place : 2 * place + 2]
        assert (one + other) / 2 == pytest.approx(tick, abs=2)
        assert other - one > 4


def test_six_methods_at_most_and_two_at_least(tmp_path, visit):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=8, controls=False))
    page = visit(build(repository, tmp_path / "public").folder / "compare.html").page
    page.wait_for_selector("#result table")
    inputs = page.locator("#methods input")
    for i in range(6):
        inputs.nth(i).check()
    assert page.locator("#methods input:enabled:not(:checked)").count() == 0
    assert page.locator("#methods input:checked").count() == 6
    assert len(cells(page)) == 15
    for i in range(1, 6):
        inputs.nth(i).uncheck()
    assert "Choose at least 2 methods." in page.locator("#result").inner_text()


def test_nonsense_in_the_address_is_ignored(site, visit):
    for fragment in ("#board=no-such&m=<img src=x>,lamp", "#axis=<b>&phase=1", "#m=" + ",".join(["lamp"] * 50)):
        seen = visit(site.folder / "compare.html", fragment=fragment)
        seen.page.wait_for_selector("#result table")
        assert seen.console == []


def test_all_pairs_stand_without_a_script(site, gathered):
    """Row minus column, and the mirrored cell is its opposite."""
    found = all_pairs(gathered)
    assert board_of(standings(gathered)).key.benchmark in found.standing.board.key.benchmark
    text = unescape((site.folder / "compare.html").read_text(encoding="utf-8"))
    table = text[text.index('<h2 id="pairs"') :]
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', table, re.DOTALL)
    shown = [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]
    for i, one in enumerate(found.slugs):
        for j, other in enumerate(found.slugs):
            expected = "" if i == j else words(comparison.difference(found.column, one, other), found.column.digits)
            assert shown[i][j] == expected
    assert "<noscript>" in text


def test_patterns_are_compared_too(tmp_path):
    repository = make_repository(tmp_path)
    open_everything(repository, "digits-cnn")
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=2, kinds=(("one-shot", "semi-structured"),)))
    standing = next(iter(gather(repository).standings[0].values()))
    [view] = comparison.views(standing)
    assert [column.label for column in view.columns] == ["2:4", "1:4", "4:8", "Mean drop"]


def test_links_lead_to_a_board(site):
    """From a benchmark's and a method's page, with the board and the method chosen."""
    text = unescape((site.folder / "methods" / "lamp.html").read_text(encoding="utf-8"))
    assert f'compare.html#board={BOARD}&m=lamp"' in text
    assert f'compare.html#board={BOARD}"' in (site.folder / "benchmarks" / "mnist-lenet-300-100.html").read_text()


def test_what_a_missing_network_would_be_as_fast_as_is_not_known(gathered):
    """Its place on the axis that comes out could be anywhere: nothing is read off a curve without it."""
    standing = first_of(standings(gathered))
    assert sum(point.missing for point in standing.entry("erk-magnitude").points) == 1
    gaps = {entry.slug: {reach.gap for reach in entry.reach["speedup"].values()} for entry in standing.methods}
    assert gaps["erk-magnitude"] == gaps["lamp"] == {"incomplete"}
    assert gaps["global-magnitude"] == {None}
