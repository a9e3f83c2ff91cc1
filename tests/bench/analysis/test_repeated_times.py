"""Ratios of times between two runs: their intervals cover a repetition on a machine that changes slowly."""

import numpy as np
import pytest
from scipy.stats import t

from bench.analysis.repeated_times import FEWEST_CELLS, repeated
from bench.statistics.interval import Interval

VISITS = 5


def two_runs(rng: np.random.Generator, cells: int, between: float, within: float, change: float = 0.0) -> Interval:
    """Ratios of a second run of the same cells: a common change, a scatter of repetitions, noise of five visits."""
    log = change + between * rng.standard_normal(cells) + within * rng.standard_normal(cells)
    error = within * np.sqrt(rng.chisquare(VISITS - 1, cells) / (VISITS - 1))
    half = t.ppf(0.975, VISITS - 1) * error
    return Interval(*np.exp([log, log - half, log + half]))


def covered(cells: int, between: float, within: float, studies: int) -> tuple[float, float]:
    """The shares of ratios whose interval holds 1: of a repetition, and of the intervals within the runs."""
    rng, hits, own = np.random.default_rng(cells), [], []
    for _ in range(studies):
        ratio = two_runs(rng, cells, between, within, change=rng.standard_normal() * 0.3)
        found = repeated(ratio, np.full(cells, VISITS - 1.0))
        assert found is not None
        hits.append((found.ratio.low <= 1) & (found.ratio.high >= 1))
        own.append((ratio.low <= 1) & (ratio.high >= 1))
    return float(np.mean(hits)), float(np.mean(own))


@pytest.mark.parametrize("cells", [8, 10, 40, 300])
@pytest.mark.parametrize(("between", "within"), [(0.03, 0.01), (0.03, 0.03), (0.0, 0.03)])
def test_the_interval_covers_a_repetition(cells: int, between: float, within: float):
    """The same values' intervals within the runs hold 1 rarely: the common change alone is 30 %."""
    hits, own = covered(cells, between, within, studies=4000 // cells + 20)
    assert hits > 0.92
    assert own < 0.6


def test_cells_that_changed_stand_out():
    """Three of forty cells became half slower; the machine as a whole, a fifth faster."""
    ratio = two_runs(np.random.default_rng(0), 40, 0.03, 0.02, change=np.log(0.8))
    slower = np.where(np.arange(40) < 3, 1.5, 1.0)
    found = repeated(ratio.scaled(slower), np.full(40, VISITS - 1.0))
    assert found is not None
    assert (found.ratio.low[:3] > 1.25).all() and found.ratio.low[3:].max() < 1.1
    assert found.common.low < 0.8 < found.common.high
    assert found.scatter == pytest.approx(0.03, rel=0.5)


def test_too_few_cells_are_not_judged():
    rng = np.random.default_rng(0)
    visits = np.full(FEWEST_CELLS + 3, VISITS - 1.0)
    ratio = two_runs(rng, FEWEST_CELLS + 3, 0.03, 0.02)
    assert repeated(ratio, visits) is not None
    visits[:4] = np.nan  # visited once
    assert repeated(ratio, visits) is None


def test_a_cell_without_an_interval_has_none_afterwards():
    visits = np.full(20, VISITS - 1.0)
    visits[0] = np.nan
    found = repeated(two_runs(np.random.default_rng(0), 20, 0.03, 0.02), visits)
    assert found is not None
    assert np.isnan(found.degrees[0]) and np.isfinite(found.degrees[1:]).all()
