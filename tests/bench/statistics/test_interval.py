"""The algebra of values with intervals: one number and arrays alike, exact values, zeros, missing ends."""

import numpy as np
import pandas as pd
import pytest

from bench.statistics.interval import Interval

A = Interval(np.array([2.0, 0.5, 3.0]), np.array([1.5, 0.4, 3.0]), np.array([2.6, 0.9, 3.0]))
B = Interval(np.array([0.7, 4.0, 1.2]), np.array([0.6, 3.0, 1.1]), np.array([0.9, 4.4, 1.3]))


def each(interval: Interval) -> list[Interval]:
    """The elements of an interval of arrays."""
    return [Interval(*ends) for ends in zip(*(end.tolist() for end in interval), strict=True)]


@pytest.mark.parametrize("name", ["times", "over"])
def test_one_number_is_computed_as_an_array_is(name):
    together = each(getattr(A, name)(B))
    assert together == [getattr(a, name)(b) for a, b in zip(each(A), each(B), strict=True)]


def test_distances_on_the_log_scale_add_as_squares_each_side_for_itself():
    product, ratio = A.times(B), A.over(B)
    down = np.hypot(np.log(A.value / A.low), np.log(B.value / B.low))
    assert product.value == pytest.approx(A.value * B.value)
    assert product.low == pytest.approx(product.value * np.exp(-down))
    down = np.hypot(np.log(A.value / A.low), np.log(B.high / B.value))
    assert ratio.value == pytest.approx(A.value / B.value) and ratio.low == pytest.approx(ratio.value * np.exp(-down))


def test_a_ratio_is_the_product_with_the_reciprocal():
    for one, two in zip(A.over(B), A.times(B.reciprocal()), strict=True):
        assert one == pytest.approx(two)


def test_an_exact_factor_scales():
    scaled = A.scaled(3.0)
    for found in (A.times(Interval.exact(3.0)), A.over(Interval.exact(1 / 3)), A.per(1 / 3)):
        assert [*found[0], *found[1], *found[2]] == pytest.approx([*scaled[0], *scaled[1], *scaled[2]])


def test_products_and_ratios_cover_their_truth():
    rng = np.random.default_rng(0)
    errors = (0.1, 0.3)
    logs = [error * rng.standard_normal(20_000) for error in errors]
    one, two = (
        Interval(*np.exp([log, log - 1.96 * error, log + 1.96 * error]))
        for log, error in zip(logs, errors, strict=True)
    )
    for found in (one.times(two), one.over(two)):
        assert abs(((found.low <= 1) & (found.high >= 1)).mean() - 0.95) < 0.006


def test_zeros():
    zero = Interval.exact(0.0)
    assert zero.times(Interval(3.0, 2.0, 4.0)) == (0.0, 0.0, 0.0)
    assert zero.over(Interval(3.0, 2.0, 4.0)) == (0.0, 0.0, 0.0)
    assert zero.over(zero) == (1.0, 1.0, 1.0)
    assert Interval(3.0, 2.0, 4.0).over(zero) == (np.inf, np.inf, np.inf)
    assert np.isnan(zero.reciprocal()).all()


def test_a_missing_end_is_exact_only_where_that_is_said():
    found = Interval(np.array([2.0, 3.0]), np.full(2, np.nan), np.array([np.nan, 4.0]))
    assert np.isnan(found.times(found).low).all()
    low, high = found.or_exact(np.array([True, False]))[1:]
    assert low[0] == 2.0 and np.isnan(low[1]) and high.tolist() == [2.0, 4.0]
    assert Interval(2.0, np.nan, np.nan).or_exact() == (2.0, 2.0, 2.0)


def test_columns_of_a_frame():
    before = {"t": [1], "t_low": [0.5], "t_high": [None]}
    frame = pd.DataFrame(before | {"t_after": 3, "t_low_after": 2, "t_high_after": 4})
    assert np.array_equal(np.ravel(Interval.of_columns(frame, "t")), [1.0, 0.5, np.nan], equal_nan=True)
    assert np.ravel(Interval.of_columns(frame, "t", "_after")).tolist() == [3.0, 2.0, 4.0]


def test_the_reciprocal_exchanges_the_ends():
    assert Interval(2.0, 1.0, 4.0).reciprocal(8.0) == (4.0, 2.0, 8.0)


def test_the_log_scale_gives_a_factor_each_way():
    value, low, high = Interval.on_log_scale(5.0, 0.1)
    assert (value / low, high / value) == pytest.approx((np.exp(0.1959964),) * 2)
