"""Ratios of times between two runs: how much a repetition of a run differs is read from all the cells of both.

A machine changes slowly (clock frequency, neighbours, placement of memory), so that two runs differ by more than the
interval within each says: measured, it covers a repetition in two cases of three (results/coverage). Two runs of many
cells show the difference themselves. On the log scale, the ratio of cell i is

    log rᵢ = common change + scatter of repetitions (standard deviation τ) + noise within the runs (standard error sᵢ).

The common change is the median over cells, and τ follows from the median absolute deviation, so that some cells that
truly changed do not hide themselves. A ratio is given relative to the common change, with the standard error
√(sᵢ² + τ² + error of the median²).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, t

from bench.statistics.interval import Interval

FEWEST_CELLS = 8
"""Timed cells in both runs from which their scatter is known well enough."""
TO_SIGMA = float(1 / norm.ppf(0.75))
"""Standard deviation of a normal variable ÷ its median absolute deviation."""
EFFICIENCY = 0.37
"""Of the median absolute deviation, relative to the standard deviation, for normal values (Hampel 1974)."""
MEDIAN_ERROR = float(np.sqrt(np.pi / 2))
"""Standard error of the median of k normal values, times √k ÷ standard deviation."""


class Repeated(NamedTuple):
    """Ratios of the second run to the first, relative to the change that all cells share, with their intervals.

    `degrees`: degrees of freedom of the t distribution behind each interval (Welch and Satterthwaite). `common`: the
    change that all cells share. `scatter`: τ, the standard deviation of a repetition on the log scale.
    """

    ratio: Interval
    degrees: Float[ndarray, " cells"]
    common: Interval
    scatter: float


def repeated(ratio: Interval, degrees: Float[ndarray, " cells"]) -> Repeated | None:
    """Returns the ratios with intervals that cover a repetition, or None for too few cells (`FEWEST_CELLS`).

    Args:
        ratio: Second run ÷ first of each cell, with intervals from within the runs; NaN where there is none.
        degrees: Degrees of freedom of these intervals; NaN where an interval is from a single visit.
    """
    log, down, up = _errors(ratio, degrees)
    known = np.isfinite(log) & np.isfinite(down) & np.isfinite(up)
    count = int(known.sum())
    if count < FEWEST_CELLS:
        return None
    common = float(np.median(log[known]))
    within = np.where(known, (down + up) / 2, np.nan)
    spread = TO_SIGMA * float(np.median(np.abs(log[known] - common))) * count / (count - 0.8)
    between = max(0.0, spread**2 - float(np.median(within[known] ** 2)))
    of_median = MEDIAN_ERROR * spread / count**0.5
    more = between + of_median**2
    every = _welch(within, degrees, between, EFFICIENCY * (count - 1))
    quantile = t.ppf(0.975, every)
    low, high = (quantile * np.sqrt(side**2 + more) for side in (down, up))
    relative = Interval(*(np.exp(log - common + each) for each in (np.zeros_like(log), -low, high)))
    return Repeated(relative, every, Interval.on_log_scale(float(np.exp(common)), of_median), between**0.5)


def _errors(ratio: Interval, degrees: Any) -> tuple[Any, Any, Any]:
    """Returns log ratios, and the standard errors below and above, from the interval's ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log, low, high = (np.log(np.asarray(each, float)) for each in ratio)
        quantile = t.ppf(0.975, degrees)
        return log, (log - low) / quantile, (high - log) / quantile


def _welch(within: Any, degrees: Any, between: float, degrees_between: float) -> Any:
    """Returns the degrees of freedom of a sum of two variances that are both estimated."""
    own = within**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (own + between) ** 2 / (own**2 / degrees + between**2 / degrees_between)
    return np.where(own + between > 0, found, degrees)
