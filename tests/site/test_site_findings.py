"""Every sentence says what the records say, recomputed here in another way; without records there is no sentence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from leaderboard import contests
from leaderboard.build import build, gather
from leaderboard.evidence import telling
from leaderboard.findings import class_harm, findings, nearly_dense, retraining_order, score_or_allocation, tied_best
from leaderboard.forgetting import Forgetting
from leaderboard.pages.site import board_of, first_of
from leaderboard.rows import to_frame
from scipy import stats

from evaluator.records.record import DENSE
from tests.site.synthetic import Plan, fill, make_repository


@pytest.fixture(scope="module")
def gathered(site):
    return gather(site.repository)


def duels(gathered, variant, column):
    """(better, tied, worse) of one board by pandas and scipy alone."""
    frame = to_frame(gathered.results.rows)
    here = frame[(frame["benchmark"] == "mnist-lenet-300-100") & (frame["status"] == "ok") & (frame["submission"] != DENSE)]
    index = ["submission", "target", "seed"]
    here = here[here["submission"] != "global-magnitude"]  # whose score is the control's
    columns = [here[here["variant"] == kind].set_index(index)[column] for kind in ("method", variant)]
    difference = (columns[0] - columns[1]).dropna()
    higher = np.maximum(*(own.groupby(level=["submission", "target"]).mean() for own in columns))
    counts = [0, 0, 0]
    for place, own in difference.groupby(["submission", "target"]):
        if len(own) == 3 and higher[place] >= 20:
            p = stats.ttest_1samp(own, 0).pvalue if own.std() else float(own.mean() == 0)
            counts[1 if not p < 0.05 else 0 if own.mean() > 0 else 2] += 1
    return tuple(counts)


@pytest.mark.parametrize(("phase", "position"), [("after", 0), ("before", 1)])
def test_tallies_against_magnitude(gathered, phase, position):
    found = score_or_allocation(gathered, telling(gathered))
    line = found.lines[position]
    assert line.shares == duels(gathered, "matched-magnitude", f"{phase}_accuracy")
    assert line.figures[1:4] == tuple(map(str, line.shares))
    assert f"of {sum(line.shares)} comparisons" in found.sentence


def test_chance_is_not_matched_against_chance(tmp_path):
    """A method whose criterion is random has no score that could be better, nor is magnitude better than magnitude."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=5))
    site = gather(repository)
    found = score_or_allocation(site, telling(site))
    assert sum(found.lines[0].shares) == 3 * 3
    assert found.lines[0].figures[4] == "3"


def test_networks_at_chance_are_not_compared(tmp_path):
    """Where both have lost what there was, neither a score nor chance can be better."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3))
    path = repository.published / "digits-mlp" / "lamp.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["target"] == 4:
            row["after"] |= {"correct": row["after"]["images"] // 6}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    site = gather(repository)
    found = score_or_allocation(site, telling(site))
    assert found.lines[0].figures[0] == "after retraining"
    assert sum(found.lines[0].shares) == 2 * 3 - 1


def test_a_network_is_not_compared_with_itself(tmp_path):
    """Where method and control have the same artifacts."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3))
    path = repository.published / "digits-mlp" / "lamp.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    mine = {(row["target"], row["seed"]): row for row in rows if row["variant"] == "method"}
    for row in rows:
        if row["variant"] == "matched-magnitude":
            twin = mine[row["target"], row["seed"]]
            row.update(artifact=twin["artifact"], before=twin["before"], after=twin["after"])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    site = gather(repository)
    found = score_or_allocation(site, telling(site))
    assert sum(found.lines[0].shares) == 3
    assert found.lines[0].figures[4] == "6", "with those of global magnitude"


def test_tau_is_kendalls(gathered):
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 6, 9), rng.integers(0, 6, 9)
        assert contests.kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)
    found = retraining_order(gathered, telling(gathered))
    standings = next(one for one in gathered.standings if board_of(one).key.benchmark == "mnist-lenet-300-100")
    taus = []
    for seed in range(3):
        pairs = [[standings[phase].accuracies(standings[phase].entry(slug), 0)[seed] for phase in ("after", "before")]
                 for slug in ("erk-magnitude", "global-magnitude", "lamp", "uniform-magnitude")]  # fmt: skip
        taus.append(stats.kendalltau(*zip(*pairs, strict=True)).statistic)
    assert found.lines[0].figures[0] == "2\N{MULTIPLICATION SIGN}"
    assert found.lines[0].figures[1].startswith(f"{np.mean(taus):.2f}".replace("-", "\N{MINUS SIGN}"))


def test_orders_by_two_recipes_are_compared(tmp_path):
    repository = make_repository(tmp_path)
    plan = Plan(benchmarks=("mnist-lenet-300-100",), methods=5, controls=False)
    fill(repository, plan)
    assert "recipe-order" not in {one.id for one in findings(gather(repository))}, "there is one recipe only"
    fill(repository, replace(plan, recipe="lenet-300-100-constant"))
    site = gather(repository)
    found = next(one for one in findings(site) if one.id == "recipe-order")
    frame = to_frame(site.results.rows)
    here = frame[(frame["submission"] != DENSE) & (frame["track"] == "one-shot")]
    taus = {}
    for target, own in here.groupby("target"):
        by_seed = []
        for _, one in own.groupby("seed"):
            table = one.pivot(index="submission", columns="recipe", values="after_accuracy").dropna()
            assert table.shape == (5, 2)
            by_seed.append(stats.kendalltau(table.iloc[:, 0], table.iloc[:, 1]).statistic)
        taus[f"{float(target):g}\N{MULTIPLICATION SIGN}"] = f"{np.mean(by_seed):.2f}".replace("-", "\N{MINUS SIGN}")
    assert {line.figures[0]: line.figures[1].split()[0] for line in found.lines} == taus
    assert all("constant" in line.label and line.figures[2] == "3" for line in found.lines)
    assert f"over {len(taus)} targets" in found.sentence


def test_tied_best_counts_rank_one(gathered):
    found = tied_best(gathered, telling(gathered))
    for line in found.lines:
        [standing] = [next(iter(one.values())) for one in gathered.standings
                      if f"{board_of(one).key.benchmark}.html#{board_of(one).key.anchor}" in line.href]  # fmt: skip
        first = [low for low, _ in standing.ranking().values() if low == 1]
        assert line.figures == (str(len(standing.ranking())), str(len(first)))


def test_nearly_dense_names_only_methods_whose_interval_is_inside(gathered):
    found = nearly_dense(gathered, telling(gathered))
    for line in found.lines:
        standing = next(next(iter(one.values())) for one in gathered.standings if board_of(one).key.benchmark in line.href)
        place = [target.label for target in standing.frame.targets].index(line.figures[0].rstrip("\N{MULTIPLICATION SIGN}"))
        inside = [entry.slug for entry in standing.methods if min(p.drop.low for p in entry.points[: place + 1]) > -1]
        assert line.figures[2] == ", ".join(gathered.titles[slug] for slug in inside)
        later = [
            entry.points[i].drop.low for entry in standing.methods for i in range(place + 1, len(standing.frame.targets))
        ]
        assert not [low for low in later if low > -1]


def test_nearly_dense_and_the_front_wait_for_all_seeds(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3, controls=False))
    path = repository.published / "digits-mlp" / "lamp.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for kept in (rows, [row for row in rows if row["seed"] < 2]):
        for row in kept:
            row["after"] = row["after"] | {"correct": row["after"]["images"] - 9}
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
        site = gather(repository)
        found = nearly_dense(site, telling(site))
        assert (found is not None and site.titles["lamp"] in found.lines[0].figures[2]) == (kept is rows)
        assert ("lamp" in first_of(site.standings[0]).front("compression")) == (kept is rows)


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_what_fails_at_a_smaller_target_costs_something(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3, controls=False))
    path = repository.published / "digits-mlp" / "lamp.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for broken in (None, 2):
        for row in rows:
            images = row["after"]["images"]
            row["after"] = row["after"] | {"correct": images // 10 if row["target"] == broken else images - 9}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        site = gather(repository)
        found = nearly_dense(site, telling(site))
        assert (found is not None and site.titles["lamp"] in found.lines[0].figures[2]) == (broken is None)


def test_harm_is_counted_class_by_class(gathered, monkeypatch):
    """By scipy from the records alone; the whole test set hides a class that goes while it loses little itself."""
    frame = to_frame(gathered.results.rows)
    here = frame[(frame["benchmark"] == "mnist-lenet-300-100") & (frame["status"] == "ok")]
    images = np.array(here["class_images"].iloc[0], dtype=float)
    beyond = {}
    for (slug, variant, target), own in here.groupby(["submission", "variant", "target"]):
        correct = np.array(own["after_class_correct"].tolist(), dtype=float)
        beyond[slug, variant, target] = 100 * correct / images - 100 * (correct.sum(axis=1) / images.sum()).mean()
    [dense] = [recall for (slug, _, _), recall in beyond.items() if slug == DENSE]
    harmed = 0
    for (_, variant, _), recall in beyond.items():
        if variant == "method":
            p = np.nan_to_num(stats.ttest_ind(recall, dense, equal_var=False).pvalue, nan=1.0)
            lost = recall.mean(axis=0) < dense.mean(axis=0)
            harmed += bool(((stats.false_discovery_control(p) < 0.05) & lost).any())
    found = class_harm(gathered, telling(gathered))
    right = here[here["variant"] == "method"].groupby(["submission", "target"])["after_accuracy"].mean()
    cases = int((right[right.index.get_level_values(0) != DENSE] >= 20).sum())
    assert cases == sum(variant == "method" for _, variant, _ in beyond) - 1, "one is at chance"
    assert found.lines[0].figures[0] == f"{harmed} of {cases}"
    assert f"In {harmed} of {cases} cases" in found.sentence
    monkeypatch.setattr(Forgetting, "harmed", property(lambda one: np.arange(len(one.recall)) == one.worst))
    told = class_harm(gathered, telling(gathered))
    assert told.lines[0].figures[0] == f"{cases} of {cases}"
    assert re.fullmatch(
        r"class \d: \N{MINUS SIGN}?[\d.]+ points, .+ at \d+\N{MULTIPLICATION SIGN}", told.lines[0].figures[2]
    )


def test_reversals_by_hand(gathered):
    standing = next(iter(gathered.standings[0].values()))
    found = contests.reversals(standing)
    if found is not None:
        assert 0 <= found.certain <= found.reversed <= found.pairs == found.methods * (found.methods - 1) // 2


def test_smoke_tier_does_not_speak_where_others_do(gathered):
    assert {board_of(one).key.benchmark for one in telling(gathered)} == {"mnist-lenet-300-100"}


def test_page_and_home_say_the_same(site, gathered):
    page = unescape((site.folder / "findings.html").read_text(encoding="utf-8"))
    home = unescape((site.folder / "index.html").read_text(encoding="utf-8"))
    made = findings(gathered)
    assert len(made) >= 4
    for finding in made:
        assert f"{finding.sentence} {finding.more}".strip() in page
        section = page[page.index(f'id="{finding.id}"') :].split("</section>")[0]
        assert all(figure in section for line in finding.lines for figure in line.figures)
    on_home = [True] * 3 + [False] * (len(made) - 3)
    assert [finding.sentence in home for finding in made] == [f">{finding.title}<" in home for finding in made] == on_home
    assert made[0].more
    assert made[0].more not in home, "only in full where there is room"


def test_without_records_there_is_no_sentence(tmp_path):
    repository = make_repository(tmp_path)
    folder = build(repository, tmp_path / "public").folder
    assert "There are no records yet on which a sentence could rest." in (folder / "findings.html").read_text()
    assert "What the records say" not in (folder / "index.html").read_text()


def test_without_controls_nothing_is_said_about_allocation(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3, controls=False))
    made = {finding.id for finding in findings(gather(repository))}
    assert "tied-best" in made
    assert not made & {"score-or-allocation", "random-allocation"}


def test_no_sentence_stands_in_the_templates(site):
    """Figures of a sentence come from the records: another site says other figures."""
    text = (site.folder / "findings.html").read_text(encoding="utf-8")
    sentences = re.findall(r'<section class="finding".*?<p class="lead">(.*?)</p>', text, re.DOTALL)
    assert sentences
    assert all(re.search(r"\d|none|No board|Every board|same order", sentence) for sentence in sentences)
