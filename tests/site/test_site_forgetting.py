"""What networks forget: the tests by hand and against scipy.stats, and what the method's page makes of them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaderboard.audit import audit
from leaderboard.build import build
from leaderboard.forgetting import Forgetting, forgetting, population
from leaderboard.load import load_results
from leaderboard.pages.forgetting import EXTREMES, Cell, _shown
from leaderboard.statistics import benjamini_hochberg, welch
from leaderboard.verify import problems
from scipy import stats

from evaluator.errors import StoreError
from evaluator.grid import load_grid
from evaluator.records import Audits, Churn
from tests.site.synthetic import Plan, fill, make_repository

NAN = math.nan


def row(seed, correct, status="ok"):
    """A row of the frame with four images a class."""
    return SimpleNamespace(seed=seed, status=status, class_images=[4] * len(correct), after_class_correct=correct,
                           before_class_correct=None, after_predictions=f"{seed:064x}", before_predictions=None)  # fmt: skip


def test_benjamini_hochberg_by_hand():
    """Sorted 0.01 0.02 0.03 0.2 become x4/1 x4/2 x4/3 x4/4, then never more than the next one."""
    assert benjamini_hochberg([0.2, 0.01, 0.03, 0.02]) == pytest.approx([0.2, 0.04, 0.04, 0.04])
    assert benjamini_hochberg([0.04, NAN, 0.01])[[0, 2]] == pytest.approx([0.04, 0.02])
    assert math.isnan(benjamini_hochberg([0.04, NAN])[1])
    assert benjamini_hochberg([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_that_of_scipy(p):
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


def test_welch_by_hand():
    """1 2 3 against 4 6 8: t = 4 / sqrt(1/3 + 4/3), df = (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2) = 50/17."""
    expected = 2 * stats.t.sf(4 / math.sqrt(5 / 3), 50 / 17)
    assert welch([[1.0], [2.0], [3.0]], [[4.0], [6.0], [8.0]]) == pytest.approx([expected])


def test_welch_is_that_of_scipy():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(3, 50)), random.normal(0.5, 2, size=(5, 50))
    assert welch(one, other) == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_welch_does_not_test_what_does_not_vary():
    """Neither sample varies: no test, though the means differ. One does: a test. One row: none."""
    still, moves = np.full((3, 1), 97.1), np.array([[97.0], [96.0], [95.0]])
    assert np.isnan(welch(still, still - 0.1)).all()
    assert welch(still, moves) == pytest.approx(2 * stats.t.sf(1.1 / math.sqrt(1 / 3), 2))
    assert np.isnan(welch(moves[:1], moves)).all()


def test_significant_is_what_is_below_five_percent():
    found = Forgetting(np.array([-9.0, -9, -9, 9, 0]), 0.0, np.array([0.049, 0.051, NAN, 0.049, 0.0]))
    assert found.significant.tolist() == [True, False, False, True, True]
    assert found.harmed.tolist() == [True, False, False, False, False]


def test_the_audit_is_of_the_method_and_not_of_its_controls(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=2))
    grid = load_grid(repository.grid)
    for one in audit(load_results(repository, grid), grid):
        assert one.pruned.seeds == len(one.pruned.predictions) == 3
        own = [row for row in one.board.by_submission[one.submission] if row.variant == "method"]
        found = population([row for row in own if row.target == one.target], one.phase)
        assert np.array_equal(found.recall, one.pruned.recall)


def test_population_is_by_seed_and_leaves_failures_out():
    found = population([row(1, [4, 2]), row(0, [3, 4]), row(2, [0, 0], "timeout")], "after")
    assert found.recall.tolist() == [[75, 100], [100, 50]]
    assert found.top1.tolist() == [87.5, 75]
    assert (list(found.predictions), found.images, found.seeds) == ([0, 1], 8, 2)
    assert population([row(0, [4])], "before") is None


def test_forgetting_by_hand():
    """Class 0 keeps its recall, class 1 loses half: top-1 loses a quarter, so that one wins 25 points and one loses 25."""
    dense = population([row(0, [4, 4]), row(1, [4, 4])], "after")
    pruned = population([row(0, [4, 1]), row(1, [4, 3])], "after")
    found = forgetting(pruned, dense)
    assert found.recall.tolist() == [0, -50]
    assert (found.top1, found.beyond.tolist(), found.worst, found.spread) == (-25, [25, -25], 1, 50)
    assert found.tested == 1  # class 0 varies in neither population
    p = stats.ttest_ind([25 - 75, 75 - 75], [0, 0], equal_var=False).pvalue
    assert found.adjusted[1] == pytest.approx(p)
    assert not found.significant.any()


def test_a_population_mean_is_subtracted_not_each_seeds_own():
    """As Hooker et al.: the mean top-1 of a population is one number, so that the spread of recall stays."""
    pruned = population([row(0, [1, 1]), row(1, [3, 3])], "after")
    dense = population([row(0, [4, 4]), row(1, [4, 4])], "after")
    assert forgetting(pruned, dense).tested == 2


def test_a_large_loss_of_one_class_is_significant():
    dense = population([row(seed, [400 - seed, 396 + seed, 398, 399]) for seed in range(3)], "after")
    pruned = population([row(seed, [398 + seed % 2, 200 + seed, 397, 400 - seed]) for seed in range(3)], "after")
    found = forgetting(pruned, dense)
    assert found.worst == 1
    assert found.significant[1]


def test_a_class_without_test_images_is_left_out():
    rows = [row(seed, [4, 0]) for seed in range(2)]
    for one in rows:
        one.class_images = [4, 0]
    found = forgetting(population(rows, "after"), population(rows, "after"))
    assert math.isnan(found.recall[1])
    assert (found.worst, found.spread, found.tested) == (0, 0, 0)


def test_tint_only_where_it_is_no_chance():
    assert [Cell(*one).tint for one in [(-9.0, False), (-9.0, True), (0.7, True), (-0.1, True)]] == [
        "",
        "lost6",
        "won2",
        "lost1",
    ]


def test_of_many_classes_the_extremes_are_shown():
    changes = np.vstack([np.linspace(-10, 10, 100), np.zeros(100)])
    assert _shown(changes) == [*range(EXTREMES), *range(99, 99 - EXTREMES, -1)]
    assert _shown(changes[:, :10]) == list(range(10))


def churn(one, **changes):
    """A figure that rests on the predictions of an audited row."""
    key = {name: value for name, value in one.board.key._asdict().items() if name != "origin"}
    content = {**key, "submission": one.submission, "target": one.target, "phase": one.phase, "images": one.pruned.images,
               "pruned": one.pruned.predictions, "dense": one.dense.predictions, "within": 30, "between": 60 + 123,
               "own": 77}  # fmt: skip
    return Churn.model_validate(content | changes)


@pytest.fixture
def repository(tmp_path):
    made = make_repository(tmp_path)
    fill(made, Plan(benchmarks=("digits-mlp",), methods=2, controls=False, failures={("global-magnitude", "4"): "timeout"}))
    return made


def rows(repository):
    grid = load_grid(repository.grid)
    return [one for one in audit(load_results(repository, grid), grid) if one.submission == "global-magnitude"]


def page(repository):
    folder = repository.root / "public"
    build(repository, folder)
    assert problems(folder) == []
    return (folder / "methods" / "global-magnitude.html").read_text(encoding="utf-8")


def test_a_failed_target_has_no_column(repository):
    assert [(one.target, one.phase) for one in rows(repository)][:3] == [("2", "after"), ("2", "before"), ("8", "after")]


def test_method_page_says_what_it_forgets(repository):
    text = page(repository)
    assert "What it forgets" in text
    glance = text[text.index('<h2 id="glance">') :].split("</table>")[0]
    harmful = {one.target for one in rows(repository) if one.phase == "after" and one.forgetting.harmed.any()}
    assert f">at {len(harmful)} of 2 targets</a>" in glance
    assert "1 failed" not in glance
    assert "3 failed" in glance
    assert 'href="../protocol.html#forgetting"' in text
    assert '<th scope="row">class 9</th>' in text
    assert "The same before retraining" in text
    assert "Churn is not known" in text
    assert "Own seed, %" not in text


def test_churn_stands_where_it_rests_on_these_predictions(repository):
    """183 of 6 x 500 minus 30 of 3 x 500 is 4.1 %; the other targets say that theirs is not known."""
    first = rows(repository)[0]
    Audits(repository.published).write("digits-mlp", "global-magnitude", [churn(first)])
    text = page(repository)
    assert '<th scope="row">Churn, %</th><td class="figure">+4.10</td><td class="figure"><span class="none">' in text
    assert '<th scope="row">Own seed, %</th><td class="figure">5.13</td>' in text


@pytest.mark.parametrize("population", ["pruned", "dense"])
def test_stale_digests_hide_the_figure(repository, population):
    first = rows(repository)[0]
    old = getattr(first, population).predictions | {0: "0" * 64}
    Audits(repository.published).write("digits-mlp", "global-magnitude", [churn(first, **{population: old})])
    assert [one.churn for one in rows(repository)] == [None] * len(rows(repository))
    assert "Churn is not known" in page(repository)


def test_figures_of_fewer_seeds_hide_too(repository):
    first = rows(repository)[0]
    fewer = {seed: sha256 for seed, sha256 in first.pruned.predictions.items() if seed != 2}
    Audits(repository.published).write("digits-mlp", "global-magnitude", [churn(first, pruned=fewer)])
    assert rows(repository)[0].churn is None


def test_local_figures_do_not_stand_beside_published_records(repository):
    Audits(repository.local).write("digits-mlp", "global-magnitude", [churn(rows(repository)[0])])
    assert rows(repository)[0].churn is None


def test_damaged_audit_stops_the_build_and_names_the_file(repository):
    path = Audits(repository.published).path("digits-mlp", "global-magnitude")
    path.parent.mkdir(parents=True)
    path.write_text('{"images": "many"}\n')
    with pytest.raises(StoreError, match=r"audit/global-magnitude\.jsonl:1: .*\n  fix: restore the file from git"):
        build(repository, repository.root / "public")
    assert not (repository.root / "public").exists()


def test_nothing_is_significant_without_a_test():
    found = Forgetting(np.array([1.0, -1.0]), 0.0, np.array([NAN, 0.01]))
    assert (found.significant.tolist(), found.tested) == ([False, True], 1)
