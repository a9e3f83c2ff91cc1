"""Power, pooling and common draws: by hand and by simulation."""

import numpy as np
import pytest
from scipy.stats import nct, t

from bench.statistics.common_draws import FEWEST_BATCHES, common_error, packed, unpacked
from bench.statistics.means import benjamini_hochberg
from bench.statistics.pooling import pooled_mean
from bench.statistics.power import chance_of_finding, smallest_found

TRIALS = 40_000
BAND = 0.01
"""79 to 81 %: five standard errors of a rate of 0.8 in 40,000 trials, √(0.16/40,000) = 0.002."""


@pytest.mark.parametrize("degrees", [np.inf, 63.0, 9.0])
@pytest.mark.parametrize("level", [0.05, 0.03 / 200])
def test_the_smallest_change_is_found_in_eighty_of_a_hundred(degrees: float, level: float):
    rng = np.random.default_rng(0)
    error = 0.1 * (np.sqrt(rng.chisquare(degrees, TRIALS) / degrees) if np.isfinite(degrees) else np.ones(TRIALS))
    true = float(smallest_found(0.1, degrees, level))
    found = (true + 0.1 * rng.standard_normal(TRIALS)) / error > t.isf(level, degrees)
    assert abs(found.mean() - 0.8) < BAND
    assert float(chance_of_finding(true, 0.1, degrees, level)) == pytest.approx(0.8)


@pytest.mark.parametrize("degrees", [2.0, 4.0, 9.0, 63.0])
@pytest.mark.parametrize("level", [0.05, 5e-5])
def test_the_formula_agrees_with_the_noncentral_distribution(degrees: float, level: float):
    power = nct.sf(t.isf(level, degrees), degrees, float(smallest_found(1.0, degrees, level)))
    assert 0.8 - 1e-6 < power < 0.814


def test_a_normal_quantile_would_promise_too_much():
    # What the degrees of freedom are for: with ν = 9 at 0.03/200 the change that a normal test finds is found seldom.
    promised = float(smallest_found(0.1, np.inf, 0.03 / 200))
    assert float(chance_of_finding(promised, 0.1, 9.0, 0.03 / 200)) < 0.35


def test_without_error_every_change_beyond_the_limit_is_found():
    assert float(chance_of_finding(1e-9, 0.0, np.inf, 0.01)) == 1
    assert float(chance_of_finding(-1e-9, 0.0, np.inf, 0.01)) == 0


@pytest.mark.parametrize("degrees", [np.inf, 63.0, 12.0])
def test_a_pooled_mean_keeps_its_level(degrees: float):
    rng, k, shared = np.random.default_rng(1), 12, 0.05
    true = np.geomspace(0.05, 0.4, k)
    z = []
    for _ in range(3000):
        own = true * (np.sqrt(rng.chisquare(degrees, k) / degrees) if np.isfinite(degrees) else 1)
        values = shared * rng.standard_normal() + true * rng.standard_normal(k)
        found = pooled_mean(values, np.sqrt(own**2 + shared**2), np.full(k, degrees), shared)
        z.append(found.mean / found.error)
    # Var z is 1: the standard error of a variance of 3,000 normal values is √(2/3000) = 0.026
    assert np.var(z) == pytest.approx(1, abs=0.13)


def test_without_meiers_term_the_error_is_too_small():
    degrees, k = 8.0, 12
    rng, z = np.random.default_rng(2), []
    for _ in range(4000):
        own = 0.1 * np.sqrt(rng.chisquare(degrees, k) / degrees)
        weight = 1 / own**2 / (1 / own**2).sum()
        z.append(weight @ (0.1 * rng.standard_normal(k)) * np.sqrt((1 / own**2).sum()))
    assert np.var(z) > 1.3
    plain = pooled_mean(np.zeros(k), np.full(k, 0.1), np.full(k, degrees))
    assert plain.error > 0.1 / k**0.5 * 1.15


def test_what_all_values_share_no_mean_removes():
    found = pooled_mean(np.zeros(100), np.full(100, np.hypot(0.3, 0.1)), np.full(100, np.inf), shared=0.1)
    assert found.error == pytest.approx(np.hypot(0.03, 0.1))


def test_benjamini_and_hochberg_is_the_example_of_their_paper():
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
                  0.6528, 0.7590, 1.0])  # fmt: skip
    assert int((benjamini_hochberg(p) <= 0.05).sum()) == 4  # Benjamini, Hochberg 1995, section 3.2
    assert np.isnan(benjamini_hochberg(np.array([np.nan])))


def test_batches_survive_the_table_and_foreign_text_is_none():
    batches = np.random.default_rng(3).exponential(size=64)
    assert unpacked(packed(batches)) == pytest.approx(batches / batches.mean(), rel=1e-6)
    assert packed(np.zeros(64)) == "" and len(unpacked("")) == 0 and len(unpacked("!")) == 0
    assert len(unpacked("AAAA")) == 0  # not a whole number of floats
    assert common_error(packed(batches), packed(batches[:32])) is None
    assert common_error(packed(batches[: FEWEST_BATCHES - 1]), packed(batches[: FEWEST_BATCHES - 1])) is None


def test_independent_batches_are_not_compared_with_each_other():
    rng = np.random.default_rng(4)
    pairs = (rng.exponential(size=(2, 64, 16)).mean(-1) for _ in range(2000))
    # Four standard errors of the correlation: a chance of about 1e-4 for skewed values.
    assert sum(common_error(*map(packed, pair)) is not None for pair in pairs) <= 5


def test_the_error_of_common_draws_is_that_of_the_ratio():
    rng = np.random.default_rng(5)
    logs, errors = [], []
    for _ in range(1000):
        common, own = rng.exponential(size=(2, 64, 16))
        before, after = common.mean(1), (0.9 * common + 0.1 * own).mean(1)
        error = common_error(packed(before), packed(after))
        assert error is not None
        logs.append(np.log(after.mean() / before.mean()))
        errors.append(error[0])
    assert np.std(logs) / np.mean(errors) == pytest.approx(1, abs=0.11)  # five standard errors, 1/√(2·1000)
    assert np.mean(errors) < 0.2 * np.sqrt(2 / 1024)  # that of independent runs is √(2/1024)


def test_the_comparison_of_common_draws_has_the_power_and_the_level_that_are_said():
    # 128 replicates in a batch, exponential: the mean of a batch is Gamma(128)/128.
    rng, trials, level, own = np.random.default_rng(6), 20_000, 0.003, 0.2
    first, other = rng.gamma(128, size=(2, trials, 64)) / 128
    second = (1 - own) * first + own * other
    of_batches = second / second.mean(1, keepdims=True) - first / first.mean(1, keepdims=True)
    errors = of_batches.std(1, ddof=1) / 8  # what `common_error` computes, for all trials at once
    found = common_error(packed(first[0]), packed(second[0]))
    assert found is not None and found[0] == pytest.approx(errors[0], rel=1e-4)
    logs, critical = np.log(second.mean(1) / first.mean(1)), t.isf(level, 63)
    power = ((logs + smallest_found(np.median(errors), 63.0, level)) / errors > critical).mean()
    assert power == pytest.approx(0.8, abs=0.014)  # five standard errors
    assert (logs / errors > critical).mean() < level + 5 * (level / trials) ** 0.5
