"""The summary figures against the protocol's test vectors, hand-made values and invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaderboard import statistics as s
from scipy import stats

DENSE = 92.94
COMPRESSION = [2, 4, 8, 16, 32]
GLOBAL = [92.44, 92.49, 91.70, 89.82, 86.43], [1.83, 3.20, 5.58, 9.70, 17.25]
LAYER = [92.58, 92.42, 91.31, 88.71, 83.62], [2.01, 4.07, 8.32, 17.45, 38.5]


def auc(x, accuracy, low, high):
    return s.area(s.curve(x, accuracy), low, high)


def largest_within(x, accuracy, floor):
    return s.crossing(s.curve(x, accuracy), floor)


@pytest.mark.parametrize(
    ("curve", "by_compression", "by_speedup", "c_at_1", "s_at_1"),
    [(GLOBAL, 90.86, 92.19, 6.48, 4.71), (LAYER, 90.13, 92.39, 5.40, 5.54)],
)
def test_protocol_vectors(curve, by_compression, by_speedup, c_at_1, s_at_1):
    """ResNet-56 on CIFAR-10, after Blalock et al.: the order of the two reverses between the axes."""
    accuracy, speedup = curve
    assert auc(COMPRESSION, accuracy, 2, 32) == pytest.approx(by_compression, abs=0.0051)
    assert auc([1, *speedup], [DENSE, *accuracy], 1, 8) == pytest.approx(by_speedup, abs=0.005)
    assert largest_within([1, *COMPRESSION], [DENSE, *accuracy], DENSE - 1).factor == pytest.approx(c_at_1, abs=0.005)
    assert largest_within([1, *speedup], [DENSE, *accuracy], DENSE - 1).factor == pytest.approx(s_at_1, abs=0.005)


def test_area_is_the_protocols_formula():
    a = [90.0, 89.0, 85.0, 70.0, 40.0]
    assert auc(COMPRESSION, a, 2, 32) == pytest.approx((a[0] / 2 + a[1] + a[2] + a[3] + a[4] / 2) / 4)


def test_nothing_is_extrapolated_or_filled_in():
    """A curve that ends before the range, starts after it, or has a gap, has no area."""
    assert math.isnan(auc([2, 4, 8], [90, 89, 88], 2, 16))
    assert math.isnan(auc([4, 8, 16], [90, 89, 88], 2, 16))
    assert math.isnan(auc([2, 4, 8, 16], [90, math.nan, 88, 87], 2, 16))


def test_nauc_is_zero_at_chance_and_one_at_dense():
    assert s.nauc(10.0, 90.0, 10.0) == 0
    assert s.nauc(90.0, 90.0, 10.0) == 1
    assert math.isnan(s.nauc(50.0, 10.0, 10.0))


@pytest.mark.parametrize(("n", "factor"), [(3, 2.48), (5, 1.24)])
def test_interval_is_students(n, factor):
    """Half-width 2.48 s at three seeds, 1.24 s at five."""
    values = list(range(n))
    found = s.interval(values)
    assert found.half / np.std(values, ddof=1) == pytest.approx(factor, abs=0.005)
    assert (found.low + found.high) / 2 == pytest.approx(found.mean)


def test_interval_of_too_little():
    assert s.interval([]).n == 0
    assert s.interval([1.0, math.nan]).n == 1
    assert math.isnan(s.interval([1.0]).half)


def test_differences_are_paired():
    """A constant gain over wildly different seeds is certain."""
    found = s.paired([90.5, 50.5, 70.5], [90, 50, 70])
    assert (found.mean, found.half) == (0.5, 0.0)
    assert s.paired([90, math.nan], [80, 80]).n == 1


def test_first_crossing_counts():
    """A curve that recovers does not get its recovery."""
    assert largest_within([1, 2, 4, 8], [90, 88, 90, 90], 89).factor == pytest.approx(2**0.5)
    assert largest_within([1, 2, 4], [90, 90, 89.5], 89) == s.Crossing(4.0, beyond=True)
    assert math.isnan(largest_within([1, 2, 4], [90, math.nan, 80], 89).factor)
    assert largest_within([1, 2, 4], [90, 80, math.nan], 89).factor < 2


def test_holm_by_hand():
    assert s.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert s.holm([0.5, math.nan, 0.02]).tolist() == pytest.approx([0.5, math.nan, 0.04], nan_ok=True)


def test_ranks_are_ranges():
    """Two that cannot be told apart share rank 1; one that is clearly worse stands behind both."""
    table = [[90.0, 91.0, 92.0], [90.1, 90.9, 92.05], [80.0, 81.01, 82.0]]
    assert s.rank_ranges(table) == [(1, 2), (1, 2), (3, 3)]
    assert s.rank_ranges([]) == []
    assert s.rank_ranges([[1.0, 2.0, 3.0]]) == [(1, 1)]
    assert s.rank_ranges([[1.0, 2.0], [1.0, 2.0]]) == [(1, 2), (1, 2)]


@pytest.mark.parametrize("count", [5, 13])
def test_methods_that_are_equal_are_rarely_told_apart(count):
    """In at most 5 of 100 tables, as Holm's correction promises, whichever of them comes out best."""
    tables = np.random.default_rng(20261128).normal(size=(2000, count, 3))
    told = np.mean([bool(s.beaten(table).any()) for table in tables])
    assert 0.02 < told < 0.055


def test_the_order_of_rows_decides_nothing():
    """Where several are level at the top, who is significantly worse than one of them does not share their place."""
    best, level, worse = [10.0, 11.0, 12.0], [9.0, 11.0, 13.0], [9.0, 10.01, 11.0]
    assert s.rank_ranges([best, level, worse]) == [(1, 2), (1, 3), (2, 3)]
    assert s.rank_ranges([level, best, worse]) == [(1, 3), (1, 2), (2, 3)]


def test_one_image_at_every_seed_is_no_certainty():
    """A difference that does not vary has no error to be measured by, not one of zero; nor has one of rounding."""
    table = [[98.46, 98.44, 98.45], [98.45, 98.43, 98.44], [90.0, 90.2, 90.1]]
    assert s.rank_ranges(table) == [(1, 2), (1, 2), (3, 3)]
    assert s.paired_p(s.paired(table[0], table[1])) == 1
    assert s.paired_p(s.paired(table[0], table[2])) == pytest.approx(stats.ttest_rel(table[0], table[2]).pvalue)


def test_ranks_are_corrected_and_paired():
    """A second that is worse at 5 % alone (p = 0.03) shares the first place of three; seeds differ more than methods do."""
    best, second = np.array([98.0, 98.5, 99.0]), np.array([97.0, 97.1, 97.1])
    third = best - [0.1, -0.3, 0.4]
    assert 0.025 < stats.ttest_rel(best, second).pvalue < 0.05
    assert s.rank_ranges([best, second]) == [(1, 1), (2, 2)]
    assert s.rank_ranges([best, second, third])[1][0] == 1
    wild = np.array([50.0, 80.0, 99.0])
    assert stats.ttest_ind(wild, wild - [1.0, 1.1, 0.9]).pvalue > 0.9
    assert s.rank_ranges([wild, wild - [1.0, 1.1, 0.9]]) == [(1, 1), (2, 2)]


def test_pareto_and_hypervolume():
    x, a = [2, 4, 8, 4], [90, 80, 70, 75]
    assert s.pareto(x, a).tolist() == [True, True, True, False]
    assert s.hypervolume([2], [90], 10) == pytest.approx(80)
    assert s.hypervolume([2, 4], [90, 80], 10) == pytest.approx(2 * 70 + 10)


accuracies = st.lists(st.floats(10, 100), min_size=5, max_size=5)


@given(accuracies)
def test_area_lies_within_the_curve(a):
    assert min(a) - 1e-9 <= auc(COMPRESSION, a, 2, 32) <= max(a) + 1e-9


@given(accuracies, st.floats(0.1, 10))
def test_better_everywhere_is_better_in_the_area(a, gain):
    assert auc(COMPRESSION, [value + gain for value in a], 2, 32) == pytest.approx(auc(COMPRESSION, a, 2, 32) + gain)


@given(accuracies, st.permutations(range(5)))
def test_order_of_points_does_not_matter(a, order):
    assert auc([COMPRESSION[i] for i in order], [a[i] for i in order], 2, 32) == pytest.approx(auc(COMPRESSION, a, 2, 32))


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_rank_ranges_are_possible_ranks(table):
    ranges = s.rank_ranges(table)
    assert all(1 <= low <= high <= len(table) for low, high in ranges)
    assert any(low == 1 for low, _ in ranges)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value(p):
    assert (s.holm(p) >= np.array(p) - 1e-12).all()


def test_an_average_over_benchmarks_by_hand():
    """Two benchmarks of one value each: a draw is one of them twice, the other twice, or both."""
    assert s.across([[1.0], [3.0]]) == (2.0, 1.0, 3.0)
    assert s.across([[2.0, 2.0, 2.0]]) == (2.0, 2.0, 2.0)
    assert s.across([[0.0, 1.0]]) == (0.5, 0.0, 1.0), "seeds are drawn as well: one twice, the other twice, or both"
    assert all(map(math.isnan, s.across([])))


@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=5), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_an_average_over_benchmarks_counts_each_once_and_is_always_the_same(groups):
    mean, low, high = s.across(groups)
    assert (mean, low, high) == s.across(groups)
    assert mean == pytest.approx(sum(sum(own) / len(own) for own in groups) / len(groups), abs=1e-9)
    smallest, largest = min(map(min, groups)), max(map(max, groups))
    assert smallest - 1e-9 <= low <= high <= largest + 1e-9


def test_seeds_alone_understate_what_another_benchmark_would_say():
    """Benchmarks that disagree make a wide interval, however alike their seeds."""
    _, low, high = s.across([[0.0, 0.01, -0.01], [5.0, 5.01, 4.99], [10.0, 10.01, 9.99]])
    assert high - low > 5
