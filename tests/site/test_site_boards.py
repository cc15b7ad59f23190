"""What may stand in one table, and what a gap does to a figure."""

from __future__ import annotations

import math

import pytest
from leaderboard import statistics, words
from leaderboard.build import gather
from leaderboard.load import load_results
from leaderboard.pages import board
from leaderboard.standings import make_standings

from evaluator.canonical import digest
from evaluator.grid import load_grid
from evaluator.records import Store
from tests.evaluator.grids import GRID
from tests.site.synthetic import Plan, fill, make_repository, records


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path)


def standings_of(repository, **options):
    grid = load_grid(repository.grid)
    return [make_standings(board, grid) for board in load_results(repository, grid, **options).boards]


def test_origins_never_mix(repository):
    """The same cells published and local are two boards; without the local store one is left."""
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=2))
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1), local=True)
    grid = load_grid(repository.grid)
    boards = load_results(repository, grid).boards
    assert [(board.key.origin, len(board.by_submission)) for board in boards] == [("published", 2), ("local", 1)]
    assert all(len(board.dense_rows) == 3 for board in boards)
    assert [board.key.origin for board in load_results(repository, grid, local=False).boards] == ["published"]


def _with_alternative(grid, recipe):
    """The grid in which digits-mlp may be retrained by another recipe."""
    entry = grid.benchmarks["digits-mlp"].model_copy(update={"alternative_recipes": [recipe]})
    return grid.model_copy(update={"benchmarks": {**grid.benchmarks, "digits-mlp": entry}})


RECIPE = "lenet-5-retraining"
CHANGES = [
    {"environment": {"device_class": "gpu"}},
    {"recipe": RECIPE, "inputs": {"recipe": digest(GRID.recipes[RECIPE].functional())}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_devices_and_recipes_never_mix(repository, change):
    grid = _with_alternative(load_grid(repository.grid), RECIPE)
    made = list(records(grid, Plan(benchmarks=("digits-mlp",), methods=1)))
    other = []
    for record in made:
        updates = {key: getattr(record, key).model_copy(update=value) if isinstance(value, dict) else value
                   for key, value in change.items()}  # fmt: skip
        if record.submission != "dense":
            other.append(record.model_copy(update={**updates, "submission": "elsewhere"}))
    Store(repository.published).add([*made, *other])
    boards = load_results(repository, grid).boards
    assert len(boards) == 2
    assert sorted(len(board.dense_rows) for board in boards) == [0, 3]


def test_published_records_need_a_sandbox(repository):
    """Refused with a reason when published; shown, with a warning, when local."""
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1, sandbox="none"))
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1, sandbox="none"), local=True)
    results = load_results(repository, load_grid(repository.grid))
    assert [board.key.origin for board in results.boards] == ["local"]
    assert any("refused" in line and "global-magnitude" in line for line in results.warnings)
    assert any(line.startswith("local") for line in results.warnings)
    assert gather(repository).faults == results.warnings


def test_unknown_benchmark_is_left_out_and_said(repository):
    grid = load_grid(repository.grid)
    record = next(records(grid, Plan(benchmarks=("digits-mlp",))))
    Store(repository.published).add([record.model_copy(update={"benchmark": "gone"})])
    results = load_results(repository, grid)
    assert results.rows == []
    assert results.warnings == ["published: 1 record(s) left out: the grid has no benchmark 'gone'"]


def test_empty_store(repository):
    results = load_results(repository, load_grid(repository.grid))
    assert results.boards == []
    assert results.newest is None


@pytest.fixture
def lenet(repository):
    fill(repository, Plan(benchmarks=("mnist-lenet-300-100",), methods=4, failures={("lamp", "16"): "timeout"},
                          missing={("erk-magnitude", "8", 1)}, collapsed={("uniform-magnitude", "32")}))  # fmt: skip
    return standings_of(repository)[0]["after"]


def test_complete_method_has_every_figure(lenet):
    entry = lenet.entry("global-magnitude")
    assert entry.area["compression"].gap is None
    assert 0.9 < entry.area["compression"].interval.mean < 1
    assert len(entry.area["compression"].per_seed) == 3
    assert entry.reach["compression"][0.5].factor <= entry.reach["compression"][1.0].factor
    assert "global-magnitude" in lenet.ranks["compression"]


def test_missing_cell_keeps_a_method_out(lenet):
    """Its other cells are shown, with how many seeds they rest on; nothing is filled in."""
    entry = lenet.entry("erk-magnitude")
    assert entry.area["compression"].gap == "1 missing"
    assert entry.mean_drop.gap == "1 missing"
    assert "erk-magnitude" not in lenet.ranks["compression"]
    assert (entry.points[2].missing, entry.points[2].accuracy.n) == (1, 2)
    assert entry.seeds == (2, 3)


def test_who_shares_the_first_place_at_a_target(lenet):
    """By the same tests as ranks of areas, among those with all seeds there."""
    everybody = {entry.slug for entry in lenet.methods}
    assert [everybody - set(ranks) for ranks in lenet.target_ranks] == [set(), set(), {"erk-magnitude"}, {"lamp"}, set()]
    for position, ranks in enumerate(lenet.target_ranks):
        accuracies = [[trial.accuracy for trial in lenet.entry(slug).points[position].trials] for slug in ranks]
        assert list(ranks.values()) == statistics.rank_ranges(accuracies)


def test_failed_cell_keeps_a_method_out(lenet):
    entry = lenet.entry("lamp")
    assert entry.area["compression"].gap == "3 failed"
    assert [trial.status for trial in entry.points[3].failed] == ["timeout"] * 3
    assert entry.points[3].missing == 0


def test_collapsed_cell_counts_chance(repository):
    """Whatever it scored: a network without a path is worth no more than a guess."""
    grid = load_grid(repository.grid)
    plan = Plan(benchmarks=("digits-mlp",), methods=1, controls=False)
    made = list(records(grid, plan))
    broken = [
        record.model_copy(update={"counts": record.counts.model_copy(update={"collapsed": True})})
        if record.submission != "dense" and record.target == 8 else record
        for record in made
    ]  # fmt: skip
    Store(repository.published).add(broken)
    entry = standings_of(repository)[0]["after"].methods[0]
    by_hand = []
    for seed in range(3):
        dense, at = made[seed].after.accuracy, {r.target: r.after.accuracy for r in made[3:] if r.seed == seed}
        area = (at[2] / 2 + at[4] + 10 / 2) / 2
        by_hand.append((area - 10) / (dense - 10))
    assert entry.area["compression"].per_seed == pytest.approx(by_hand)
    assert entry.points[2].accuracy.mean > 50
    assert entry.points[2].collapsed == 3


def test_drop_is_paired_with_dense_of_the_same_seed(lenet):
    point = lenet.entry("global-magnitude").points[0]
    by_seed = {trial.seed: trial.accuracy for trial in point.trials}
    expected = sum(by_seed[seed] - lenet.frame.reference[seed] for seed in range(3)) / 3
    assert point.drop.mean == pytest.approx(expected)


def test_controls_are_beside_their_method_and_never_ranked(lenet):
    assert [control.variant for control in lenet.controls["lamp"]] == ["matched-random", "matched-magnitude"]
    assert all(entry.variant == "method" for entry in lenet.methods)


def test_infeasible_target_is_no_failure(tmp_path):
    """A compression beyond what the unprunable parameters allow is nobody's gap."""
    repository = make_repository(tmp_path)
    path = repository.grid / "benchmarks.yaml"
    path.write_text(path.read_text().replace("unstructured: [2, 4, 8]", "unstructured: [2, 4, 1000]", 1))
    grid = load_grid(repository.grid)
    made = [r for r in records(grid, Plan(benchmarks=("digits-mlp",), methods=1)) if r.target != 1000]
    Store(repository.published).add(made)
    entry = standings_of(repository)[0]["after"].methods[0]
    assert [point.target.feasible for point in entry.points] == [True, True, False]
    assert entry.points[2].missing == 0
    assert entry.area["compression"].gap is None


def test_without_dense_there_is_no_summary(repository):
    grid = load_grid(repository.grid)
    made = [r for r in records(grid, Plan(benchmarks=("digits-mlp",), methods=1)) if r.submission != "dense"]
    Store(repository.published).add(made)
    entry = standings_of(repository)[0]["after"].methods[0]
    assert entry.area["compression"].gap == "no dense control"
    assert math.isnan(entry.points[0].drop.mean)
    assert entry.points[0].accuracy.n == 3


def test_other_methods_do_not_change_a_methods_score(tmp_path):
    few, many = make_repository(tmp_path / "few"), make_repository(tmp_path / "many")
    fill(few, Plan(benchmarks=("digits-mlp",), methods=1))
    fill(many, Plan(benchmarks=("digits-mlp",), methods=4))
    figures = [standings_of(r)[0]["after"].entry("global-magnitude").area for r in (few, many)]
    assert figures[0] == figures[1]


def test_stale_records_stand_in_no_table(tmp_path):
    """Code, recipe, base models and protocol of today, or no place in a ranking."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=2))
    grid = load_grid(repository.grid)
    assert load_results(repository, grid).warnings == []
    method = next(repository.submissions.glob("*/method.py"))
    method.write_text(method.read_text() + "# changed\n")
    results = load_results(repository, grid)
    assert method.parent.name not in {row.submission for row in results.rows}
    assert any("the submission's code" in line for line in results.warnings)
    assert gather(repository).warnings == results.warnings
    assert gather(repository).faults == [], "nothing is wrong that a measurement would not mend"
    newer = grid.model_copy(update={"protocol": grid.protocol.model_copy(update={"scoring_version": 99})})
    results = load_results(repository, newer)
    assert method.parent.name not in {row.submission for row in results.rows}
    assert {board.remeasuring and board.remeasuring.done for board in results.boards} == {0}, "of the version before, marked"
    assert any("the scoring protocol changed (1 -> 99)" in line for line in results.warnings)


def test_a_single_target_is_ranked_by_its_drop(repository):
    """There is no curve, and so no area; a board on which all is measured has ranks all the same, and says by what."""
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=3, kinds=(("one-shot", "structured"),)))
    site = gather(repository)
    [standings] = site.standings
    standing = standings["after"]
    [target] = standing.frame.targets
    assert (target.label, standing.frame.primary, standing.axes) == ("2", None, (None,))
    drops = {entry.slug: entry.points[0].drop.mean for entry in standing.methods}
    assert [entry.slug for entry in standing.methods] == sorted(drops, key=drops.__getitem__, reverse=True)
    assert standing.ranking() == standing.target_ranks[0], "pairs have the same dense control, which a difference cancels"
    assert all(standing.figures[slug].interval.mean == pytest.approx(drop) for slug, drop in drops.items())
    panel = board.view(board.Sources(site.grid, site.titles, site.looks, site.submissions, standings, apart=False)).panels[0]
    assert panel.reasons == [words.NO_CURVE]
    assert [(chart.caption, chart.axis) for chart in panel.charts] == [("Top-1 at the one target", None)]
    assert panel.charts[0].spec["layer"][-1]["encoding"]["x"]["axis"]["title"] == "Speedup, as asked for"
    assert panel.summaries == []
