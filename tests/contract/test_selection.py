"""From scores to masks: exact counts whatever the scores, ties by position, rows and layers by their share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import InvalidOutcome
from evaluator.selection import apportion, has_pattern, keep_n_of_m, keep_top, keep_top_by_row, keep_top_globally

few_values = st.sampled_from([-1.0, 0.0, 0.25, 0.25, 3.0])
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def scores_and_count(draw, shape=shapes):
    """Scores with many ties, and a count that they can satisfy."""
    dimensions = draw(shape)
    size = int(np.prod(dimensions))
    values = draw(st.lists(few_values | st.floats(-10, 10, width=32), min_size=size, max_size=size))
    return torch.tensor(values).view(dimensions), draw(st.integers(0, size))


@given(scores_and_count())
def test_keep_top_keeps_the_first_of_the_highest(case):
    """The mask is that of a stable sort: exactly ``count``, and among equals the earlier ones."""
    scores, count = case
    expected = np.zeros(scores.numel(), dtype=bool)
    expected[np.argsort(-scores.flatten().numpy(), kind="stable")[:count]] = True
    mask = keep_top(scores, count)
    assert mask.shape == scores.shape
    assert mask.flatten().tolist() == expected.tolist()


@given(st.lists(scores_and_count(), min_size=1, max_size=4), st.data())
def test_keep_top_globally_equals_a_sort_of_everything(cases, data):
    scores = {3 * i: case[0] for i, case in enumerate(cases)}
    everything = np.concatenate([layer.flatten().numpy() for layer in scores.values()])
    count = data.draw(st.integers(0, len(everything)))
    expected = np.zeros(len(everything), dtype=bool)
    expected[np.argsort(-everything, kind="stable")[:count]] = True
    masks = keep_top_globally(scores, count)
    assert {i: mask.shape for i, mask in masks.items()} == {i: layer.shape for i, layer in scores.items()}
    assert np.concatenate([mask.flatten().numpy() for mask in masks.values()]).tolist() == expected.tolist()


@given(scores_and_count(st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)))
def test_keep_top_by_row_spreads_the_count_and_takes_each_rows_highest(case):
    scores, count = case
    mask = keep_top_by_row(scores, count)
    rows, kept = scores.flatten(1), mask.flatten(1)
    shares = kept.sum(1)
    assert int(shares.sum()) == count
    assert int(shares.max() - shares.min()) <= 1
    for row, chosen, share in zip(rows, kept, shares, strict=True):
        assert torch.equal(chosen, keep_top(row, int(share)))


@given(scores_and_count(st.tuples(st.integers(2, 4), st.integers(2, 4))))
def test_the_rows_that_keep_one_more_are_those_whose_next_score_is_highest(case):
    scores, count = case
    share, extra = divmod(count, len(scores))
    if not extra:
        return
    shares = keep_top_by_row(scores, count).sum(1)
    following = scores.sort(dim=1, descending=True).values[:, share]
    assert following[shares > share].min() >= following[shares == share].max()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 500)), min_size=1, max_size=6))
def test_apportion_sums_up_and_stays_within_one_of_each_share(layers):
    densities = {i: density for i, (density, _) in enumerate(layers)}
    sizes = {i: size for i, (_, size) in enumerate(layers)}
    exact = {i: densities[i] * sizes[i] for i in sizes}
    total = round(sum(exact.values()))
    counts = apportion(densities, sizes, total)
    assert sum(counts.values()) == total
    assert all(0 <= counts[i] <= sizes[i] for i in sizes)
    assert all(abs(counts[i] - exact[i]) <= 1 + 1e-9 for i in sizes)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.data())
def test_apportion_of_one_density_meets_any_total(sizes, data):
    total = data.draw(st.integers(0, sum(sizes)))
    named = dict(enumerate(sizes))
    counts = apportion(dict.fromkeys(named, total / sum(sizes)), named, total)
    assert sum(counts.values()) == total


def test_apportion_rounds_by_the_largest_remainder_then_by_position():
    assert apportion({0: 0.5, 1: 0.5, 2: 0.5}, {0: 5, 1: 3, 2: 3}, 5) == {0: 3, 1: 1, 2: 1}
    assert apportion({0: 0.29, 1: 0.71}, {0: 100, 1: 100}, 100) == {0: 29, 1: 71}
    assert apportion({0: 1.0, 1: 0.0}, {0: 4, 1: 9}, 4) == {0: 4, 1: 0}


@pytest.mark.parametrize("density", [-0.1, 1.1, float("nan"), float("inf")])
def test_apportion_refuses_what_is_no_density(density):
    with pytest.raises(InvalidOutcome, match="not between 0 and 1"):
        apportion({0: density}, {0: 10}, 5)


@pytest.mark.parametrize("total", [-1, 21, 1000])
def test_apportion_refuses_an_impossible_total_instead_of_searching_for_ever(total):
    with pytest.raises(InvalidOutcome, match="cannot be kept"):
        apportion({0: 1.0, 1: 1.0}, {0: 10, 1: 10}, total)


def test_apportion_refuses_densities_that_miss_the_target():
    with pytest.raises(InvalidOutcome, match="the target keeps 500"):
        apportion({0: 0.4}, {0: 1000}, 500)


@given(st.sampled_from([(2, 4), (1, 4), (4, 8)]), st.integers(1, 3), st.integers(1, 3), st.data())
def test_n_of_every_m_neighbours_along_the_inputs(pattern, outputs, blocks, data):
    """Exactly n of every m, the highest, at every place of a kernel; ties go to the first."""
    n, m = pattern
    kernel = data.draw(st.sampled_from([(), (1, 1), (2, 3)]))
    size = outputs * blocks * m * int(np.prod(kernel))
    values = data.draw(st.lists(few_values | st.floats(-10, 10, width=32), min_size=size, max_size=size))
    scores = torch.tensor(values).view(outputs, blocks * m, *kernel)
    mask = keep_n_of_m(scores, n, m)
    assert has_pattern(mask, n, m)
    rows = scores.movedim(1, -1).reshape(-1, m).numpy()
    kept = mask.movedim(1, -1).reshape(-1, m).numpy()
    for row, chosen in zip(rows, kept, strict=True):
        assert set(np.flatnonzero(chosen)) == set(np.argsort(-row, kind="stable")[:n])


def test_a_layer_without_whole_blocks_has_no_pattern():
    mask = keep_n_of_m(torch.randn(5, 3, 2, 2), 2, 4)
    assert mask.all()
    assert has_pattern(mask, 2, 4)
    mask[0, 0, 0, 0] = False
    assert not has_pattern(mask, 2, 4)


def test_neighbours_are_inputs_and_not_places_of_the_kernel():
    mask = torch.zeros(1, 4, 2, 1, dtype=torch.bool)
    mask[0, :2, 0] = mask[0, 2:, 1] = True
    assert has_pattern(mask, 2, 4)
    mask = torch.zeros(1, 4, 2, 1, dtype=torch.bool)
    mask[0, 0] = mask[0, 1, 0] = mask[0, 2, 0] = True  # four in all, three at one place
    assert not has_pattern(mask, 2, 4)
