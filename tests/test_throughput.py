"""Timing: its statistics on a fake clock, and one real smoke."""

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.problem import Problem
from bench.throughput import ThroughputSettings, measure, median_interval, timed
from estimators import BadInput

PROBLEM = Problem(distributions.get("bernoulli", size=5), objectives.get("quadratic_bits"))


class FakeMachine:
    """Steps that take a given time each, blocks that a clock reads without error."""

    def __init__(self, seconds):
        self.seconds, self.blocks = iter(seconds), []

    def __call__(self, number):
        self.blocks.append(number)
        return next(self.seconds)


def noisy(rng, scale=1e-3):
    while True:
        yield scale * (1 + 0.1 * rng.exponential())


def test_median_interval_covers():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = median_interval(list(rng.exponential(size=25)))
        hits += low <= np.log(2) <= high
    assert 0.945 < hits / 2000 < 0.985  # order statistics are a little conservative


def test_stops_when_the_median_is_known():
    machine = FakeMachine(noisy(np.random.default_rng(1)))
    timing = timed(machine, ThroughputSettings(precision=0.02, max_seconds=1e6))
    assert timing.stop_reason == "precision"
    assert timing.high - timing.low <= 2 * 0.02 * timing.median
    assert timing.median == pytest.approx(1e-3 * (1 + 0.1 * np.log(2)), rel=0.02)


def test_stops_when_the_time_is_up():
    machine = FakeMachine(noisy(np.random.default_rng(2)))
    timing = timed(machine, ThroughputSettings(precision=1e-6, max_seconds=0.5))
    assert timing.stop_reason == "budget"
    assert 0.5 / 0.011 - 5 < timing.blocks < 0.5 / 0.01 + 5


def test_a_slow_step_is_timed_once():
    timing = timed(FakeMachine(iter([3.0, 4.0])), ThroughputSettings(max_seconds=2.0))
    assert (timing.median, timing.blocks, timing.stop_reason) == (4.0, 1, "budget")


def test_blocks_are_long_against_the_clock():
    machine = FakeMachine(iter([1e-5] * 100))
    timed(machine, ThroughputSettings())
    assert machine.blocks[0] == 1
    assert set(machine.blocks[1:]) == {1000}


def test_an_outlier_does_not_move_the_median():
    seconds = [1e-3] * 11
    seconds[5] = 1.0
    assert median_interval(seconds)[0] == 1e-3


def test_measures_for_real_and_keeps_the_generator():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    outcome = measure(
        PROBLEM, estimators.get("rloo"), 4, ThroughputSettings(0.2, 0.05), cell_id="c", seed=0, dtype=torch.float32
    )
    rows = {row.metric: row for row in outcome.measurements}
    assert set(rows) == {"seconds_per_estimate", "first_call_seconds", "peak_memory"}
    row = rows["seconds_per_estimate"]
    assert 0 < (row.ci_low or 0) <= (row.value or 0) <= (row.ci_high or 0) < 1
    assert (rows["peak_memory"].value or 0) >= outcome.replicates * 4 * 5 * 4  # the draws alone
    assert torch.equal(before, torch.random.get_rng_state())


def test_settings_out_of_range():
    with pytest.raises(BadInput, match=r"precision must be between 0 and 1, found 2.0"):
        ThroughputSettings(precision=2.0)
    with pytest.raises(BadInput, match=r"max_seconds must be above 0, found 0.0"):
        ThroughputSettings(max_seconds=0.0)
