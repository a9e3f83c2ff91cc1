"""Streaming moments and what is kept of a stream, against numpy on the full data."""

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis, skew

from bench.statistics.chunk_sums import BATCHES
from bench.statistics.moments import Moments
from bench.statistics.stream import Replicates


def data(rows, seed=0):
    generator = np.random.default_rng(seed)
    return np.column_stack(
        [generator.normal(1e4, 1, rows), generator.exponential(1e-5, rows), generator.lognormal(0, 1, rows)]
    )


@pytest.mark.parametrize("chunks", [(1000,), (1, 999), (64, 1, 500, 435)])
def test_merged_moments_are_those_of_all_data(chunks):
    x = data(sum(chunks))
    total = Moments.none(3)
    for part in np.split(x, np.cumsum(chunks)[:-1]):
        total = total + Moments.of(torch.tensor(part))
    assert total.count == len(x)
    np.testing.assert_allclose(total.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(total.variance, x.var(0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(total.skewness, skew(x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(total.kurtosis, kurtosis(x, fisher=False), rtol=1e-8)


def test_float32_estimates_are_summed_in_float64():
    x = torch.full((4096, 1), 0.1, dtype=torch.float32)
    total = sum((Moments.of(x) for _ in range(64)), Moments.none(1))
    assert total.mean[0] == pytest.approx(float(np.float32(0.1)), rel=1e-14)


def kept_of(x, chunk, target):
    kept = Replicates({"all": slice(0, 3), "first": slice(0, 1)}, target, np.zeros(3))
    for part in torch.tensor(x).split(chunk):
        kept.add(part)
    return kept


@pytest.mark.parametrize("chunk", [8, 64, 512])
def test_replicates_keep_what_the_intervals_need(chunk):
    x, target = data(2048), np.array([1e4, 1e-5, 1.6])
    block = kept_of(x, chunk, target).block("all")
    deviation = x - target
    assert np.shape(block.batches) == (BATCHES, 3)
    np.testing.assert_allclose(np.asarray(block.batches).mean(0), x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(block.exact.squared, (deviation**2).sum(1), rtol=1e-6)
    np.testing.assert_allclose(block.exact.along, deviation @ target / np.linalg.norm(target), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(block.trace, x.var(0, ddof=1).sum(), rtol=1e-10)


def test_one_block_is_its_own_measurement():
    x = data(1024)
    kept = kept_of(x, 64, np.zeros(3))
    assert kept.block("first").trace == pytest.approx(x[:, 0].var(ddof=1))


def test_a_look_starts_fresh_moments_and_keeps_the_total():
    x = data(1024)
    kept = Replicates({"all": slice(0, 3)}, None, None)
    kept.add(torch.tensor(x[:256]))
    kept.look()
    kept.add(torch.tensor(x[256:]))
    block = kept.block("all")
    assert (block.fresh.count, block.count) == (768, 1024)
    np.testing.assert_allclose(block.fresh.mean, x[256:].mean(0))


def test_estimates_that_are_not_finite_are_counted_and_left_out():
    x = data(256)
    x[3, 0], x[100, 2], x[101, 1] = np.nan, np.inf, 1e200
    kept = kept_of(x, 64, np.zeros(3))
    good = np.delete(x, [3, 100, 101], 0)
    assert (kept.nonfinite, kept.drawn, kept.total.count) == (3, 256, 253)
    np.testing.assert_allclose(kept.total.mean, good.mean(0))
    assert len(kept.block("all").distances) == 253
