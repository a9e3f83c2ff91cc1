"""The coverage study, small: the intervals hold the truth about as often as they say."""

import numpy as np
import pytest
import torch

from bench.coverage import NOISES, Case, coverage, outside
from bench.coverage.clock import CLOCKS, clock_lines
from bench.coverage.page import page
from bench.sequential import AccuracySettings
from bench.timing import ThroughputSettings

SETTINGS = AccuracySettings(precision=0.2, bias_resolution=0.1, max_replicates=8192)


@pytest.mark.parametrize("noise", sorted(set(NOISES) - {"student_3"}))
def test_noises_have_the_moments_they_say(noise):
    torch.manual_seed(0)
    x = NOISES[noise].draw(400_000, 2).double().numpy()
    assert np.abs(x.mean(0)).max() < 0.01
    assert x.var(0).mean() == pytest.approx(1, rel=0.1)
    kurtosis = (x**4).mean() / x.var() ** 2
    assert NOISES[noise].kurtosis == pytest.approx(kurtosis, rel=0.1 if noise != "lognormal" else 0.6)


@pytest.mark.parametrize("bias", [0.0, 0.2])
def test_cases_are_what_they_say(bias):
    for dim in (1, 10):
        truth = Case("normal", dim, bias).truths()
        assert truth["snr"] == pytest.approx(2)
        assert (truth["bias"] > 0) == (bias > 0)


@pytest.mark.parametrize(("noise", "dim"), [("exponential", 1), ("normal", 10)])
def test_small_study(noise, dim):
    table = coverage([Case(noise, dim, 0.0), Case(noise, dim, 0.3)], 40, SETTINGS)
    assert table.coverage.min() > 0.8  # P(Binomial(40, .95) ≤ 32) is 0.0003, and the seeds are fixed
    assert outside(table.loc[~table.boundary]).empty
    assert (table[table.relative_bias == 0].biased == 0).all()
    assert (table[table.relative_bias > 0].unbiased == 0).all()


def test_infinite_variance_of_the_variance_is_flagged():
    table = coverage([Case("student_3", 1, 0.0)], 10, SETTINGS)
    flagged = table.set_index("metric").flagged
    assert flagged["variance"] == flagged["variance_max"] == flagged["mse"] == flagged["snr"] == 1


@pytest.mark.parametrize("clock", sorted(CLOCKS))
def test_times_and_what_follows_from_them(clock):
    lines = {line["metric"]: line for line in clock_lines(clock, range(40), ThroughputSettings(max_seconds=0.5))}
    assert set(lines) == {"seconds_per_estimate", "estimates_per_second", "work_normalised_variance"}
    assert min(float(str(line["coverage"])) for line in lines.values()) > 0.8


def test_the_page_tells_what_is_outside():
    table = coverage([Case("normal", 1, 0.0), Case("student_3", 1, 0.0)], 4, SETTINGS)
    table.loc[(table.noise == "normal") & (table.metric == "snr"), ["coverage", "standard_error"]] = 0.5, 0.01
    written = page(table)
    assert "`snr` of normal, P = 1, relative bias 0: 50.0 ± 1.0 %" in written
    assert "| `variance` | " in written and "*flagged: 100.0*" in written
