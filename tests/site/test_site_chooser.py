"""The chooser: one board, conditions, the tied best with their evidence; nothing is filled in."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from leaderboard import chooser, costs, statistics
from leaderboard.build import gather
from leaderboard.formats import duration
from leaderboard.load import Board
from leaderboard.pages.site import board_of
from leaderboard.rows import to_frame

BOARD = "digits-mlp/one-shot-unstructured-digits-retraining-cpu-published"
MANY = "digits-cnn/one-shot-unstructured-digits-retraining-cpu-published"
GAPS = "mnist-lenet-300-100/one-shot-unstructured-lenet-300-100-retraining-cpu-published"


@pytest.fixture(scope="module")
def gathered(site):
    return gather(site.repository)


@pytest.fixture(scope="module")
def menus(gathered):
    return {menu.id: menu for menu in chooser.menus(gathered)}


def data(site):
    text = (site.folder / chooser.FILE).read_text(encoding="utf-8")
    return {board["id"]: board for board in json.loads(text.removeprefix(f"{chooser.CALL}(").removesuffix(");\n"))}


def test_beaten_agrees_with_ranks():
    """Whoever is not significantly worse than the best has rank 1, and nobody else."""
    rng = np.random.default_rng(3)
    table = rng.normal(0, 0.02, (9, 5)) + np.arange(9)[:, None] // 3
    worse = statistics.beaten(table)
    best = int(table.mean(axis=1).argmax())
    assert [not row[best] for row in worse] == [low == 1 for low, _ in statistics.rank_ranges(table)]
    assert not (worse & worse.T).any()


def test_best_without_conditions_have_rank_one(menus):
    for menu in menus.values():
        assert {one.slug for one in menu.best} == {one.slug for one in menu.candidates if one.rank and one.rank[0] == 1}


def test_method_with_a_gap_is_never_chosen(menus):
    found = {one.slug: one for one in menus[GAPS].candidates}
    assert (found["lamp"].rank, found["lamp"].figure.gap) == (None, "3 failed")
    assert not {"lamp", "erk-magnitude"} & {one.slug for one in menus[GAPS].best}


def test_cost_is_that_of_the_costliest_target_and_of_the_usual_retraining(site, gathered, menus):
    """Retraining is the same for all: a method is not dear because the machine was busy."""
    standings = next(one for one in gathered.standings if menus[BOARD].board is board_of(one))
    rows = to_frame(board_of(standings).records)
    own = rows[(rows["submission"] == "lamp") & (rows["variant"] == "method")]
    retraining = rows[rows["variant"] == "method"]["retraining_seconds"].median()
    seconds = own["pruning_seconds"].groupby(own["target"]).mean() + retraining
    found = {one.slug: one for one in menus[BOARD].candidates}
    assert found["lamp"].seconds == pytest.approx(seconds.max())
    assert menus[BOARD].unit == "core"
    page = (site.folder / "methods" / "lamp.html").read_text(encoding="utf-8")
    spent = duration(own["pruning_seconds"].groupby(own["target"]).mean().max())
    assert (
        f"One network takes <b>{spent}</b> of pruning at the costliest target and {duration(retraining)} of retraining"
        in page
    )
    assert math.isnan(chooser.seconds(board_of(standings), "nobody"))


def test_what_controls_are_trained_for_is_no_cost_of_a_method(gathered, menus):
    """As where nothing is retrained after a method that trains, but its controls are trained; or Scratch-B, for long."""
    board = menus[BOARD].board
    controls = [row._replace(retraining_seconds=1e6) for row in board.records if row.variant != "method"]
    dear = Board(board.key, [row for row in board.records if row.variant == "method"] + controls, board.dense_rows)
    assert controls
    assert costs.retraining_seconds(dear) == costs.retraining_seconds(board) < 10


def test_reader_chooses(site, visit):
    """Conditions narrow the group, the address holds them, and the figure is one click away."""
    seen = visit(site.folder / "index.html", fragment=f"#choose={BOARD}")
    page = seen.page
    board = data(site)[BOARD]
    ranked = [one for one in board["methods"] if one["rank"]]
    rows = page.locator("#chosen tbody tr")
    assert rows.count() == sum(one["rank"][0] == 1 for one in ranked)
    page.locator("#chooser .picks label", has_text="data").check()
    fit = [one for one in ranked if "data" not in one["needs"]]
    meet = sum("data" not in one["needs"] for one in board["methods"])
    behind = [board["methods"][i]["slug"] for i in max(fit, key=lambda one: one["mean"])["ahead"]]
    tied = sorted((one for one in fit if one["slug"] not in behind), key=lambda one: -one["mean"])
    said = page.locator("#chooser [role=status]").inner_text()
    assert said.startswith(f"{meet} of {len(board['methods'])} methods meet")
    assert rows.count() == len(tied)
    assert rows.first.inner_text().split("\t")[2] == "\N{EN DASH}".join(map(str, dict.fromkeys(tied[0]["rank"])))
    assert page.evaluate("location.hash") == f"#choose={BOARD}&without=data"
    page.get_by_role("link", name="See them in the charts").click()
    page.wait_for_url("**/benchmarks/digits-mlp.html*")
    assert page.locator("tbody.picked:visible").count() == len(tied)
    assert seen.console == []


def test_reader_chooses_at_one_target(site, menus, visit):
    """The tied best by accuracy there; a method that failed at another target counts where it did not."""
    page = visit(site.folder / "index.html", fragment=f"#choose={GAPS}&at=8").page
    assert page.locator("#choose-at option:checked").inner_text() == "top-1 at 8\N{MULTIPLICATION SIGN}"
    menu = menus[GAPS]
    at = {one.slug: one.at[menu.targets.index("8")] for one in menu.candidates}
    assert (at["erk-magnitude"].rank, at["erk-magnitude"].gap) == (None, "1 missing")
    assert at["lamp"].rank is not None
    tied = {slug for slug, choice in at.items() if choice.rank and choice.rank[0] == 1}
    rows = page.locator("#chosen tbody tr")
    assert {row.locator("a").get_attribute("href").split("/")[1].split(".")[0] for row in rows.all()} == tied
    figures = [float(row.locator("td").first.inner_text().split()[0]) for row in rows.all()]
    assert figures == sorted(figures, reverse=True), "as they are judged, not as the board is ordered"
    best = max((choice for slug, choice in at.items() if slug in tied), key=lambda choice: choice.interval.mean)
    assert f"{best.interval.mean:.2f} ± {best.interval.half:.2f}" in page.locator("#chosen").inner_text()
    page.get_by_label("Judged by").select_option("")
    assert "at=" not in page.url
    page.get_by_label("Judged by").select_option("2")
    assert page.url.endswith("&at=2")
    page.get_by_role("link", name="See them in the charts").click()
    page.wait_for_url("**/benchmarks/mnist-lenet-300-100.html*")
    assert page.locator(".panel.after thead th[aria-sort=descending]").inner_text().startswith("2\N{MULTIPLICATION SIGN}")


def test_another_division_is_shown_on_the_same_benchmark(many, visit):
    """Where it has such a board; not on whatever stands first."""
    seen = visit(many.folder / "index.html", fragment=f"#choose={MANY}")
    boards = list(data(many).values())
    others = [{**board, "id": board["id"].replace("digits-cnn/", "another/")} for board in boards]
    seen.page.evaluate("boards => espalierChooser(boards)", [*others, *boards])
    seen.page.locator("#chooser").get_by_text("channels", exact=True).click()
    assert seen.page.locator("#choose-board").input_value().startswith("digits-cnn/")
    assert seen.page.locator("#choose-board option").first.get_attribute("value").startswith("another/")
    assert seen.console == []


def test_unknown_cost_meets_no_limit(site, visit):
    """All pass at first; without their costs none does."""
    page = visit(site.folder / "index.html", fragment=f"#choose={BOARD}&most=60&without=data,labels,gradients").page
    assert page.locator("#chosen tbody tr").count() > 0
    assert page.locator("#choose-most option:checked").inner_text() == "1 core-minute"
    boards = list(data(site).values())
    for board in boards:
        board["methods"] = [{**one, "seconds": None} for one in board["methods"]]
    page.evaluate("boards => espalierChooser(boards)", boards)
    assert page.locator("#chosen tbody tr").count() == 0
    assert page.locator("#chooser [role=status]").inner_text().startswith("None of ")


@pytest.mark.parametrize("fragment", ["#choose=nowhere&division=%22&most=-1&without=<b>", "#choose=", "#grid"])
def test_unknown_choice_falls_back(site, visit, fragment):
    seen = visit(site.folder / "index.html", fragment=fragment)
    assert seen.page.locator("#chosen tbody tr").count() > 0
    assert seen.console == []


def test_table_stands_without_a_script(site, menus):
    text = (site.folder / "index.html").read_text(encoding="utf-8")
    part = text[text.index('class="plainly"') : text.index("</table>", text.index('class="plainly"'))]
    for menu in menus.values():
        assert all(f'href="methods/{one.slug}.html"' in part for one in menu.best)
    assert part.count("<tr>") == len(menus) + 1
