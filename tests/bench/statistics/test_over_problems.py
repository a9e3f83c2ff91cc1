"""Means over problems and the additive model: their values by hand and by brute force, and what is left out."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import t

from bench.statistics.additive import additive
from bench.statistics.interval import Interval
from bench.statistics.over_problems import WIDEST, mean_ratio


def test_the_mean_of_two_problems_by_hand():
    """Problem a has log ratios 0 and 2, problem b 3: the mean is that of 1 and 3."""
    log, half = np.array([0.0, 2.0, 3.0]), np.array([0.4, 0.8, 0.6])
    found = mean_ratio(Interval(*np.exp([log, log - half, log + 2 * half])), ["a", "a", "b"])
    noise = np.sqrt((0.4 / 4) ** 2 + (0.8 / 4) ** 2 + (0.6 / 2) ** 2)
    assert np.log(found.measured) == pytest.approx([2, 2 - noise, 2 + 2 * noise])
    spread = t.ppf(0.975, 1) * np.std([1, 3], ddof=1) / np.sqrt(2)
    assert np.log(found.chosen) == pytest.approx([2, 2 - spread, 2 + spread])
    assert found.problems == 2 and (found.low, found.high) == (found.chosen.low, found.chosen.high)


def test_one_problem_says_nothing_of_others():
    found = mean_ratio(Interval(*np.array([[2.0], [1.0], [3.0]])), ["a"])
    assert tuple(found.measured) == pytest.approx((2, 1, 3)) and np.isnan(found.chosen.low)
    assert (found.low, found.high) == pytest.approx((1, 3))


@pytest.mark.parametrize(
    ("values", "expected", "problems"),
    [([0.0, 4.0, 9.0], 6.0, 2), ([np.inf, 4.0], 4.0, 1), ([0.0, 0.0], 0.0, 0), ([0.0, np.inf], np.nan, 0)],
)
def test_a_ratio_without_a_logarithm_is_left_out(values: list[float], expected: float, problems: int):
    found = mean_ratio(Interval.exact(np.array(values)), [str(each) for each in range(len(values))])
    assert found.value == pytest.approx(expected, nan_ok=True) and found.problems == problems


def test_missing_and_endless_intervals_stay_numbers():
    found = mean_ratio(Interval(np.ones(2), np.array([np.nan, 0.0]), np.array([np.nan, np.inf])), ["a", "b"])
    assert np.log(found.measured.high) == pytest.approx(WIDEST / 2)


Layout = tuple[ndarray, ndarray, ndarray]


def layout(rng: np.random.Generator, rows: int, settings: list[int], share: float) -> Layout:
    """Rows, columns and problems of the cells: problem g has `settings[g]` columns, a cell is there with a chance."""
    problem = np.repeat(np.arange(len(settings)), settings)
    cells = [(r, c) for c in range(len(problem)) for r in range(rows) if rng.random() < share]
    found = np.array(cells)
    return found[:, 0], np.unique(found[:, 1], return_inverse=True)[1], problem[found[:, 1]]


def measured(rng: np.random.Generator, count: int) -> Interval:
    log, sides = rng.standard_normal(count), rng.random((2, count))
    return Interval(*np.exp([log, log - sides[0], log + sides[1]]))


@pytest.mark.parametrize("seed", range(5))
def test_in_a_complete_table_the_model_is_the_direct_comparison(seed: int):
    rng = np.random.default_rng(seed)
    rows, columns, problem = layout(rng, 4, [2, 1, 3, 2], 1.0)
    values = measured(rng, len(rows))
    model = additive(rows, columns, problem, values)
    for one, other in ((0, 1), (3, 2)):
        above, below = (Interval(*(each[rows == row] for each in values)) for row in (one, other))
        direct = mean_ratio(above.over(below), problem[rows == one].astype(str).tolist())
        found = model.ratio(one, other)
        assert tuple(found.measured) == pytest.approx(tuple(direct.measured))
        assert tuple(found.chosen) == pytest.approx(tuple(direct.chosen))
        assert found.problems == direct.problems == 4


@pytest.mark.parametrize("seed", range(5))
def test_with_gaps_the_effects_are_those_of_least_squares(seed: int):
    """A design matrix with a column for each row and each column, solved as it stands; the jackknife fits it again."""
    rng = np.random.default_rng(seed)
    rows, columns, problem = layout(rng, 5, [2, 1, 3, 2, 1], 0.8)
    values = measured(rng, len(rows))
    model = additive(rows, columns, problem, values)

    def solved(keep: ndarray) -> ndarray:
        sizes = np.bincount(columns[keep], minlength=columns.max() + 1)
        of_problem = {g: sum(sizes[c] > 1 for c in set(columns[keep & (problem == g)])) for g in set(problem[keep])}
        weight = np.array([np.sqrt(1 / max(of_problem[g], 1)) for g in problem[keep]])
        design = np.zeros((keep.sum(), 5 + columns.max() + 1))
        design[np.arange(keep.sum()), rows[keep]] = design[np.arange(keep.sum()), 5 + columns[keep]] = 1
        logs = np.log(values.value[keep])
        return np.linalg.lstsq(design * weight[:, None], logs * weight, rcond=None)[0][:5]

    whole = solved(np.ones(len(rows), bool))
    assert model.effects - model.effects[0] == pytest.approx(whole - whole[0])
    assert model.weights @ np.log(values.value) == pytest.approx(model.effects)
    for g in range(5):
        left = solved(problem != g)
        assert model.without[g] - model.without[g, 0] == pytest.approx(left - left[0])


@pytest.mark.parametrize(("count", "settings"), [(14, [1, 1, 1]), (30, [2] * 5), (50, [1] * 20)])
def test_rounding_in_the_smallest_eigenvalue_moves_nothing(count: int, settings: list[int]):
    """Of 14 rows in 3 columns, the eigenvalue 0 of the Laplacian is computed as 1e-15 of the largest."""
    rng = np.random.default_rng(0)
    rows, columns, problem = layout(rng, count, settings, 1.0)
    values = measured(rng, len(rows))
    model = additive(rows, columns, problem, values)
    log = np.zeros((count, len(settings)))
    np.add.at(log, (rows, problem), np.log(values.value) / np.array(settings)[problem])
    assert model.effects - model.effects[0] == pytest.approx(log.mean(1) - log.mean(1)[0])
    for g in range(len(settings)):
        left = np.delete(log, g, 1).mean(1)
        assert model.without[g] - model.without[g, 0] == pytest.approx(left - left[0])


def test_a_problem_weighs_alike_with_one_setting_and_with_ten():
    rows, columns, problem = layout(np.random.default_rng(0), 2, [1, 10], 1.0)
    log = np.where(rows == 1, np.where(problem == 0, 4.0, 2.0), 0.0)
    found = additive(rows, columns, problem, Interval.exact(np.exp(log))).ratio(1, 0)
    assert np.log(found.value) == pytest.approx(3.0)
    assert tuple(found.measured) == pytest.approx((found.value,) * 3) and found.chosen.low < found.value
