"""The rule that ends a timing, on a fake clock."""

import numpy as np
import pytest

from bench.measure.timing.blocks import BESIDE_SECONDS, MIN_BLOCK_SECONDS, ThroughputSettings, median_interval, timed
from estimators import BadInput

ENDLESS = 1e9


class FakeMachine:
    """Steps whose seconds in a block are the next of a stream; counts what it was asked."""

    def __init__(self, seconds):
        self.seconds, self.blocks, self.spent = iter(seconds), [], 0.0

    def __call__(self, number):
        self.blocks.append(number)
        taken = next(self.seconds) * number
        self.spent += taken
        return taken


def stream(rng, draw):
    while True:
        yield 1e-3 * draw(rng)


NOISE = {
    "exponential": (lambda rng: 1 + 0.1 * rng.exponential(), 1 + 0.1 * np.log(2)),
    "normal": (lambda rng: 1 + 0.03 * rng.standard_normal(), 1.0),
    "two_clocks": (lambda rng: 1 + 0.1 * (rng.random() < 0.3) + 0.01 * rng.exponential(), None),
}


@pytest.mark.parametrize("noise", ["exponential", "normal"])
def test_looking_does_not_cost_coverage(noise):
    """The interval at the stop covers the median in 95 % of cases: 1,000 timings, 5.5 standard errors allowed.

    Looking after every block covers it in 92 % (see `timed`)."""
    draw, true = NOISE[noise]
    rng = np.random.default_rng(0)
    hits, stopped = 0, 0
    for _ in range(1000):
        timing = timed(FakeMachine(stream(rng, draw)), ThroughputSettings(precision=0.02, max_seconds=ENDLESS))
        hits += timing.seconds.low <= 1e-3 * true <= timing.seconds.high
        stopped += timing.stop_reason == "precision"
    assert stopped == 1000
    assert hits / 1000 > 0.95 - 5.5 * (0.95 * 0.05 / 1000) ** 0.5


def test_blocks_double_between_looks():
    machine = FakeMachine(stream(np.random.default_rng(1), NOISE["exponential"][0]))
    timing = timed(machine, ThroughputSettings(precision=0.005, max_seconds=ENDLESS))
    assert timing.blocks in {8 * 2**k for k in range(12)} and timing.blocks > 8
    assert timing.seconds.high - timing.seconds.low <= 2 * 0.005 * timing.seconds.value


def test_the_interval_of_the_median_shrinks_where_dispersion_does_not():
    machine = FakeMachine(stream(np.random.default_rng(2), NOISE["two_clocks"][0]))
    timing = timed(machine, ThroughputSettings(precision=0.01, max_seconds=ENDLESS))
    assert timing.stop_reason == "precision"
    assert 1e-3 < timing.seconds.value < 1.02e-3


def test_all_that_runs_counts_as_time():
    own, beside = (FakeMachine(stream(np.random.default_rng(k), NOISE["exponential"][0])) for k in range(2))
    settings = ThroughputSettings(precision=1e-6, max_seconds=0.5)
    timing = timed(own, settings, beside, clock=lambda: own.spent + beside.spent)
    assert timing.stop_reason == "budget"
    assert 0.5 <= own.spent + beside.spent < 0.5 + 0.02 + 0.01  # the last block, and the one beside it
    assert timing.blocks == len(own.blocks) - 1


def test_a_slow_step_is_run_once():
    machine = FakeMachine([3.0])
    timing = timed(machine, ThroughputSettings(max_seconds=2.0), clock=lambda: machine.spent)
    assert (timing.seconds.value, timing.blocks, timing.stop_reason) == (3.0, 1, "budget")


def test_blocks_are_long_against_the_clock():
    own, beside = FakeMachine([1e-5] * 100), FakeMachine([1e-5] * 100)
    timed(own, ThroughputSettings(), beside)
    assert own.blocks == [1] + [round(MIN_BLOCK_SECONDS / 1e-5)] * 8
    assert beside.blocks == [1] + [round(BESIDE_SECONDS / 1e-5)] * 2  # before and after


def test_drift_shows():
    slowing = FakeMachine([1e-5] * 2 + [1.2e-5] * 100)
    timing = timed(FakeMachine([1e-3] * 100), ThroughputSettings(), slowing)
    assert timing.drift == pytest.approx(0.2)
    assert timed(FakeMachine([1e-3] * 100), ThroughputSettings()).drift == 0


def test_median_interval_covers():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = median_interval(list(rng.exponential(size=25)))
        hits += low <= np.log(2) <= high
    assert 0.945 < hits / 2000 < 0.985  # order statistics are a little conservative


def test_an_outlier_does_not_move_the_median():
    seconds = [1e-3] * 11
    seconds[5] = 1.0
    assert median_interval(seconds)[0] == 1e-3


def test_settings_out_of_range():
    with pytest.raises(BadInput, match=r"precision must be between 0 and 1, found 2.0"):
        ThroughputSettings(precision=2.0)
    with pytest.raises(BadInput, match=r"max_seconds must be above 0, found 0.0"):
        ThroughputSettings(max_seconds=0.0)
    with pytest.raises(BadInput, match=r"replicates must be at least 2, found 1"):
        ThroughputSettings(replicates=1)
