"""The mean of log ratios over problems, as a ratio, with two intervals: noise of measuring, and choice of problems."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t

from bench.statistics.interval import Interval

WIDEST = 50.0
"""Half-width that stands for an unbounded interval of a log ratio."""


class OverProblems(NamedTuple):
    """A ratio over problems.

    `measured`: the ratio, with the 95 % interval of the noise of measuring: it holds for these problems. `chosen`: the
    same ratio, with the 95 % interval of the choice of problems: it holds for further problems like them, and is NaN
    where fewer than two problems are shared. `problems`: the number of problems behind it.
    """

    measured: Interval
    chosen: Interval
    problems: int

    @property
    def value(self) -> float:
        """The ratio."""
        return float(self.measured.value)

    @property
    def low(self) -> float:
        """The lower of the two low ends."""
        return float(np.nanmin([self.measured.low, self.chosen.low]))

    @property
    def high(self) -> float:
        """The higher of the two high ends."""
        return float(np.nanmax([self.measured.high, self.chosen.high]))

    @classmethod
    def on_log_scale(cls, centre: float, down: float, up: float, half: float, problems: int) -> "OverProblems":
        """Returns the ratio from a log ratio, its distances to the ends of `measured`, and the half-width of
        `chosen`."""
        with np.errstate(over="ignore"):
            value, low, high = (float(np.exp(each)) for each in (centre, centre - down, centre + up))
            chosen = Interval(value, float(np.exp(centre - half)), float(np.exp(centre + half)))
        return cls(Interval(value, low, high), chosen, problems)

    @classmethod
    def exact(cls, value: float, problems: int) -> "OverProblems":
        """Returns a ratio that is known without error: of an estimator without variance."""
        return cls(Interval.exact(value), Interval.exact(value), problems)


def mean_ratio(ratios: Interval, problems: Sequence[str]) -> OverProblems:
    """Returns the mean of the log ratios over problems, each problem counted once, by the mean of its log ratios.

    The mean estimates that of the true log ratios. Its two intervals:

    - *measured*: the errors of the ratios are independent, so the squared distances to the ends add, times the square
      of each ratio's weight, for each side separately (`bench.statistics.interval`);
    - *chosen*: with d the problems' means and k their number, d̄ ± t_{k−1} s_d ÷ √k, Student's interval: the problems
      as draws from those like them. Each d holds its error of measuring, so the interval holds it too.

    Ratios of 0 and ∞, of estimators without variance, have no logarithm and are left out: the mean is over the other
    problems, whose number is in the result. If there are none, the ratio is the value that all have, or NaN.

    Args:
        ratios: k ratios with their intervals; a missing end is an error of 0.
        problems: The problem of each ratio.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(ratios.value)
        down, up = (np.abs(np.log(end) - log) for end in (ratios.low, ratios.high))
    known = np.isfinite(log)
    if not known.any():
        values = set(np.atleast_1d(ratios.value).tolist())
        return OverProblems.exact(values.pop() if len(values) == 1 else np.nan, 0)
    names, problem = np.unique(np.array(problems, dtype=object)[known].astype(str), return_inverse=True)
    weight = 1 / (len(names) * np.bincount(problem)[problem])
    each = np.bincount(problem, weights=weight * log[known]) * len(names)
    below, above = (float(np.sqrt((weight**2) @ finite_half(side[known]) ** 2)) for side in (down, up))
    return OverProblems.on_log_scale(float(each.mean()), below, above, student_half(each), len(names))


def finite_half(side: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Returns half-widths on the log scale, made finite: 0 without an interval, at most `WIDEST`."""
    return np.clip(np.nan_to_num(side, nan=0.0, posinf=WIDEST), 0.0, WIDEST)


def student_half(each: Float[ndarray, " k"]) -> float:
    """Returns the half-width of Student's 95 % interval of the mean of k values; NaN for a single value."""
    k = len(each)
    return student_factor(k) * float(each.std(ddof=1)) / k**0.5 if k > 1 else np.nan


def student_factor(problems: int) -> float:
    """Returns the 97.5 % point of Student's t with one degree of freedom less than there are problems."""
    return float(t.ppf(0.975, problems - 1))
