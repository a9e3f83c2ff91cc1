"""Tests and intervals of means, lengths and variances: against closed forms, and their coverage by simulation."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ncx2

from bench.statistics.bias import zero_bias
from bench.statistics.block import Block
from bench.statistics.means import hall, hall_interval, holm, mean_interval, two_sided
from bench.statistics.moments import Moments
from bench.statistics.norms import NoisyLength, trace_of_square
from bench.statistics.stream import Replicates
from bench.statistics.tails import approximate, extreme_index, hill, largest_share, top_share, unstable
from bench.statistics.variances import largest_interval, relative_error, trace_error
from bench.statistics.verdict import Rules, growth, judge

RULES = Rules(resolution=0.1, level=1e-3, looks=1, tolerance=1e-12)


def block_of(x: np.ndarray, target: np.ndarray, chunk: int = 64) -> Block:
    kept = Replicates({"all": slice(0, x.shape[1])}, target, np.zeros_like(target))
    for part in torch.tensor(x).split(chunk):
        kept.add(part)
    return kept.block("all")


def test_without_skewness_hall_is_student():
    x = np.random.default_rng(0).normal(0.1, 1, 5000)
    expected = x.mean() / x.std(ddof=1) * 5000**0.5
    assert hall(x.mean(), x.std(ddof=1), 0.0, len(x)) == pytest.approx(expected)


@pytest.mark.parametrize("skewness", [0.0, 1e-8, 0.5, -3.0, 6.0])
def test_halls_interval_ends_where_its_test_rejects(skewness):
    interval = hall_interval(1.0, 4.0, skewness, 500)
    for end in (interval.low, interval.high):
        assert two_sided(hall(1.0, 2.0, skewness, 500, truth=end)) == pytest.approx(0.05, rel=1e-4)


def test_hall_keeps_its_level_where_student_does_not():
    x = np.random.default_rng(1).exponential(size=(40_000, 200)) ** 2
    skewness = ((x - x.mean(1, keepdims=True)) ** 3).mean(1) / x.std(1) ** 3
    student = np.asarray(two_sided((x.mean(1) - 2) / x.std(1, ddof=1) * 200**0.5))
    corrected = np.asarray(two_sided(hall(x.mean(1), x.std(1, ddof=1), skewness, 200, truth=2.0)))
    assert (student < 1e-3).mean() > 10e-3
    assert (corrected < 1e-3).mean() < 0.6 * (student < 1e-3).mean()


def test_holm_against_its_definition():
    p = np.array([0.001, 0.2, 0.012, 0.04])
    np.testing.assert_allclose(holm(p), [0.004, 0.2, 0.036, 0.08])


@pytest.mark.parametrize("length", [0.0, 1.0, 6.0])
def test_isotropic_lengths_have_the_noncentral_interval(length):
    # ‖m‖² of a standard normal in 5 dimensions around `length` is noncentral χ²₅
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(150):
        m = rng.standard_normal(5)
        m[0] += length
        interval = NoisyLength(float(m @ m), 5.0, 5.0, 1.0, 10_000).interval()
        hits += interval.low <= length <= interval.high
    assert hits / 150 > 0.9
    one = NoisyLength(40.0, 5.0, 5.0, 1.0, 10_000).interval()
    assert ncx2.cdf(40.0, 5, one.high**2) == pytest.approx(0.025, abs=2e-3)
    assert ncx2.cdf(40.0, 5, one.low**2) == pytest.approx(0.975, abs=2e-3)


def test_trace_of_square_from_batches():
    rng = np.random.default_rng(3)
    scale = np.sqrt(np.array([4.0, 1.0, 1.0, 0.5]))
    found = []
    for _ in range(300):
        batches = rng.standard_normal((64, 4)) * scale * 8
        centred = batches - batches.mean(0)
        found.append(trace_of_square(centred @ centred.T, 6.5, 4))
    assert np.mean(found) == pytest.approx(16 + 1 + 1 + 0.25, rel=0.05)


def test_two_estimates_are_enough_for_every_interval():
    block = block_of(np.array([[1.0, 2.0], [1.5, 1.0]]), np.array([1.0, 1.5]))
    assert trace_of_square(np.eye(2), 0.5, 2) == 0.25
    for interval in (block.bias(), block.snr(), block.variance(), block.mse()):
        assert interval.low <= interval.value <= interval.high


def test_the_largest_of_equal_variances_is_not_overrated():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(200):
        variance = rng.chisquare(999, 50) / 999
        interval = largest_interval(variance, relative_error(np.full(50, 3.0), 1000))
        hits += interval.low <= 1 <= interval.high
    assert hits / 200 > 0.93


def test_the_largest_share_from_the_moments_is_that_of_the_data():
    x = np.random.default_rng(9).exponential(size=(400, 2))
    moments = Moments.of(torch.tensor(x[:256])) + Moments.of(torch.tensor(x[256:]))
    direct = [largest_share((column - column.mean()) ** 2) for column in x.T]
    assert moments.largest_share == pytest.approx(direct, rel=0.05)  # the furthest is taken from its chunk's mean


def test_a_heavy_tail_is_seen_too_seldom_and_its_variance_held_often_enough():
    rng, held, plain = np.random.default_rng(10), 0, 0
    for _ in range(400):
        squares = (rng.lognormal(size=20_000) - np.exp(0.5)) ** 2
        error, off = trace_error(squares, float(squares.mean()), 0.0), np.log(squares.mean() / (np.exp(2) - np.e))
        held += abs(off) < 1.96 * error
        plain += abs(off) < 1.96 * error / (1 + largest_share(squares)) ** 0.5
    assert plain < 365 < held  # of 400, the same draws


def test_two_point_data_have_a_variance_interval():
    x = np.random.default_rng(5).choice([-1.0, 1.0], (300, 1000))
    s2 = x.var(1, ddof=1)
    kurtosis = ((x - x.mean(1, keepdims=True)) ** 4).mean(1) / x.var(1) ** 2
    half = 1.96 * relative_error(kurtosis, 1000)
    assert (np.abs(np.log(s2)) < half).mean() > 0.92


def test_hill_and_top_share():
    rng = np.random.default_rng(6)
    heavy, light = np.abs(rng.standard_t(1.5, 100_000)), np.abs(rng.standard_normal(100_000))
    assert hill(heavy) == pytest.approx(1.5, rel=0.2)
    assert (hill(light) or 0) > 6
    assert hill(np.ones(1000)) is None
    assert top_share(heavy**2) > 0.3
    assert unstable(heavy**2)
    assert unstable(light**2) is None


def test_the_extreme_value_index():
    rng = np.random.default_rng(7)
    assert extreme_index(rng.standard_t(3, 200_000) ** 2) == pytest.approx(2 / 3, abs=0.08)
    assert extreme_index(rng.exponential(size=200_000)) == pytest.approx(0, abs=0.15)
    assert extreme_index(rng.random(200_000)) == pytest.approx(-1, abs=0.15)
    assert extreme_index(np.ones(1000)) is None
    assert extreme_index(np.repeat([0.0, 1.0], [990, 10])) is None
    assert extreme_index(np.arange(4.0)) is None


def test_an_infinite_fourth_moment_is_flagged_though_no_single_estimate_stands_out():
    rng = np.random.default_rng(8)
    for _ in range(50):
        squares = rng.standard_t(3, 32_768) ** 2
        squares = squares[squares < np.quantile(squares, 0.9998)]  # a tame sample: its six largest were not drawn
        assert largest_share(squares) < 0.15
        assert "fourth moment" in (approximate(squares, relative_error=0.01) or "")
        assert approximate(rng.standard_normal(32_768) ** 2, relative_error=0.01) is None
        assert approximate(rng.exponential(size=32_768) ** 2, relative_error=0.01) is None


def noisy_gradient(rng, rows, target, shift=0.0, scale: float | np.ndarray = 1.0):
    return target + shift + scale * (rng.exponential(size=(rows, len(target))) - 1)


def test_zero_bias_keeps_its_level_and_finds_shrinkage():
    rng = np.random.default_rng(7)
    target = np.full(200, 0.1)

    def p(x):
        block = block_of(x, target, chunk=1024)
        return zero_bias(block.moments, block.exact, 1e-12).p

    unbiased = [p(noisy_gradient(rng, 1024, target)) for _ in range(100)]
    assert np.mean(np.array(unbiased) < 0.05) < 0.13
    shrunken = 0.75 * noisy_gradient(rng, 4096, target)
    block = block_of(shrunken, target)
    found = zero_bias(block.moments, block.exact, 1e-12)
    assert found.p < 1e-6
    assert found.where == "along the gradient"


def test_coordinates_without_variance_must_agree_exactly():
    rng = np.random.default_rng(8)
    target = np.array([1.0, 2.0, 0.0])
    x = noisy_gradient(rng, 1024, target, scale=np.array([1.0, 0.0, 0.0]))
    right = block_of(x, target)
    assert zero_bias(right.moments, right.exact, 1e-12).p > 1e-4
    wrong = block_of(x, target + np.array([0.0, 1e-9, 0.0]))
    assert zero_bias(wrong.moments, wrong.exact, 1e-12).p == 0
    known_to = np.array([0.0, 1e-9, 0.0])
    assert zero_bias(wrong.moments, replace(wrong.exact, error=known_to), 1e-12).p > 1e-4


@pytest.mark.parametrize("length", [1, 100])
def test_directions_without_variance_must_agree_exactly(length):
    """In 3 coordinates and in 300, more than there are batches: the batches span a range of low rank."""
    rng = np.random.default_rng(11)
    target = np.repeat([1.0, 2.0, -1.0], length)
    shared = rng.exponential(size=(1024, 1)) - 1
    x = target + shared * np.repeat([1.0, -1.0, 0.5], length)
    right = block_of(x, target)
    assert zero_bias(right.moments, right.exact, 1e-12, batches=right.batches).p > 1e-4
    off = 1e-3 * np.repeat([1.0, 1.0, 0.0], length)  # a twentieth of a coordinate's standard error
    wrong = block_of(x, target + off)
    assert zero_bias(wrong.moments, wrong.exact, 1e-12).p > 1e-4
    found = zero_bias(wrong.moments, wrong.exact, 1e-12, batches=wrong.batches)
    assert (found.p, found.where) == (0, "in a direction without variance")
    known_to = np.full(len(target), 1e-3)
    assert zero_bias(wrong.moments, replace(wrong.exact, error=known_to), 1e-12, batches=wrong.batches).p > 1e-4


def test_a_covariance_of_full_rank_has_no_null_directions():
    rng = np.random.default_rng(12)
    target = np.full(300, 0.1)
    block = block_of(noisy_gradient(rng, 1024, target), target)
    assert len(block.batches) < 300
    assert zero_bias(block.moments, block.exact, 1e-12, batches=block.batches).p > 1e-4


def test_rare_outcomes_are_not_tested():
    rng = np.random.default_rng(9)
    x = (rng.random((4096, 2)) < [0.5, 1e-4]).astype(float)
    block = block_of(x, np.array([0.5, 1e-4]))
    found = zero_bias(block.moments, block.exact, 1e-12, np.array([False, True]))
    assert found.untested.tolist() == [False, True]


def test_verdicts():
    rng = np.random.default_rng(10)
    target = np.array([1.0, -2.0])
    assert judge(block_of(noisy_gradient(rng, 65536, target), target), RULES, True).word == "unbiased"
    assert judge(block_of(noisy_gradient(rng, 8192, target, 1.0), target), RULES, True).word == "biased"
    assert judge(block_of(noisy_gradient(rng, 8192, target, 1.0), target), RULES, False).word == "unclear"
    few = judge(block_of(target + rng.standard_normal((128, 2)), target), RULES, False)
    assert few.word == "unclear"
    assert "more replicates would settle it" in few.reason
    heavy = judge(block_of(target + rng.standard_t(1.2, (65536, 2)), target), RULES, False)
    assert heavy.word == "unclear"
    assert "variance" in heavy.reason


def test_what_settles_a_verdict_is_not_said_too_small_by_chance():
    """Of 100 unbiased streams some seem to have a bias of twice the resolution, which few replicates would show.

    The sentence never promises less than half of what shows that there is no bias, with the true noise.
    """
    rng, target, sd, count = np.random.default_rng(12), np.array([1.0, -2.0]), 10.0, 256
    bound, noise = RULES.resolution * 5**0.5, sd**2 / count
    true = count * growth(NoisyLength(2 * noise, 2 * noise, 2 * noise**2, noise, 63), RULES, bound, 0.0)
    promised, least = [], []
    for _ in range(100):
        found = judge(block_of(target + sd * rng.standard_normal((count, 2)), target), RULES, False)
        if "if there is no bias" in found.reason:
            promised.append(count + float(re.findall(r"about (\S+) more", found.reason)[0]))
            assert found.needed is not None
            least.append(found.needed)
    assert len(promised) > 60
    assert min(promised) > true / 2 > 2 * min(least)


def test_mean_interval_of_a_constant():
    interval = mean_interval(np.full(10, 3.0))
    assert (interval.low, interval.high) == (3.0, 3.0)
