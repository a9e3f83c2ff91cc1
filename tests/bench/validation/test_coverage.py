"""The coverage study, small: the intervals hold the truth about as often as they say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.timing.blocks import ThroughputSettings
from bench.validation.coverage import NOISES, StudyCase, coverage, outside
from bench.validation.coverage.alarms import (
    FAMILIES,
    EstimateFamily,
    alarm_lines,
    alarms_told,
    exact_alarm_rate,
    p_values,
    rare,
    rejections,
    with_events,
)
from bench.validation.coverage.clock import CLOCKS, clock_lines
from bench.validation.coverage.page import coverage_page

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
        truth = StudyCase("normal", dim, bias).truths()
        assert truth["snr"] == pytest.approx(2)
        assert (truth["bias"] > 0) == (bias > 0)


@pytest.mark.parametrize(("noise", "dim"), [("exponential", 1), pytest.param("normal", 10, marks=pytest.mark.slow)])
def test_small_study(noise, dim):
    table = coverage([StudyCase(noise, dim, 0.0), StudyCase(noise, dim, 0.3)], 40, SETTINGS)
    assert table.coverage.min() > 0.8  # P(Binomial(40, .95) ≤ 32) is 0.0003, and the seeds are fixed
    assert outside(table.loc[~table.boundary]).empty
    assert (table[table.relative_bias == 0].biased == 0).all()
    assert (table[table.relative_bias > 0].unbiased == 0).all()


def test_infinite_variance_of_the_variance_is_flagged():
    table = coverage([StudyCase("student_3", 1, 0.0)], 10, SETTINGS)
    flagged = table.set_index("metric").flagged
    assert flagged["variance"] == flagged["variance_max"] == flagged["mse"] == flagged["snr"] == 1


FIRST = ("correlated_clock",)
"""The clock of `make test`: its blocks depend on each other."""


@pytest.mark.parametrize(
    "clock", [pytest.param(name, marks=[] if name in FIRST else [pytest.mark.slow]) for name in sorted(CLOCKS)]
)
def test_times_and_what_follows_from_them(clock):
    lines = {line["metric"]: line for line in clock_lines(clock, range(40), ThroughputSettings(max_seconds=0.5))}
    assert set(lines) == {"seconds_per_estimate", "estimates_per_second", "work_normalised_variance"}
    assert min(float(str(line["coverage"])) for line in lines.values()) > 0.8


def test_the_page_tells_what_is_outside():
    table = coverage([StudyCase("normal", 1, 0.0), StudyCase("student_3", 1, 0.0)], 4, SETTINGS)
    table.loc[(table.noise == "normal") & (table.metric == "snr"), ["coverage", "standard_error"]] = 0.5, 0.01
    written = coverage_page(table)
    assert "`snr` of normal, P = 1, relative bias 0: 50.0 ± 1.0 %" in written
    assert "| `variance` | " in written and "*flagged: 100.0*" in written


def test_false_alarms_are_counted_by_their_two_factors():
    """Of normal estimates both rates are near the nominal ones; of an event that did not come up they are 1."""
    lines = {line["noise"]: line for line in alarm_lines(["normal", "noise and event of 1e-06"], 20_000)}
    assert 100 < 20_000 * float(str(lines["normal"]["first_at_1e-02"])) < 320  # 200 ± 14 by the nominal level
    assert float(str(lines["normal"]["false_biased_in_a_sweep"])) < 0.05
    unseen = lines["noise and event of 1e-06"]
    assert float(str(unseen["product_at_1e-03"])) > 0.98 and float(str(unseen["unseen_at_a_million"])) > 0.3
    written = alarms_told(pd.DataFrame(lines.values()))
    assert "no test of the estimates can distinguish them" in written and "| normal |" in written


def test_the_enumerated_chance_is_the_simulated_one():
    family = EstimateFamily("event of 0.03", rare(0.03, 0.03, 0.0))
    first, confirmed, _ = rejections(family, 100_000)
    events = np.arange(400)
    for level, counted, size in ((1e-3, first[1e-3], 1024), (1e-3, confirmed, 3072)):
        p = p_values(with_events(events, size, 1.0, 0.03, np.zeros(400)))
        chance = 100_000 * float(binom.pmf(events, size, 0.03)[p <= level].sum())
        assert abs(counted - chance) < 6 * (chance + 1) ** 0.5
    assert 0 < exact_alarm_rate(0.03, 1e-5 / 6) < 1e-7


def test_the_committed_rates_support_the_claim_of_the_readme():
    table = pd.read_csv(Path(__file__).parents[3] / "results" / "coverage" / "alarms.csv")
    assert set(table.noise) == set(FAMILIES) and (table.cells == 100_000).all()
    seen = table[~table.noise.str.startswith("noise and event")]
    assert seen.false_biased_in_a_sweep.max() < 0.01
