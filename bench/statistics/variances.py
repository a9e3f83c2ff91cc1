"""Intervals of variances by the jackknife on the logarithm; they need a finite fourth moment.

The jackknife variance of log s² is (κ − 1 + 2/(n − 1))/n, with κ the kurtosis; only the last term remains when the data
take two values equally often (κ = 1). The largest squared deviation counts twice, because a sample shows too little of
a heavy tail more often than too much; where no single estimate matters, this changes nothing. (20,000 lognormal
estimates, κ = 114: coverage 91.3 % without it, 93.2 % with it; normal estimates: 95 % either way.) A χ² interval, which
assumes κ = 3, covers 35 % on a score function.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from bench.statistics.interval import Interval
from bench.statistics.tails import largest_share


def relative_error(kurtosis: Float[np.ndarray, " P"], count: int) -> Float[np.ndarray, " P"]:
    """The standard error of log s² per coordinate, from the kurtosis and the number of estimates.

    >>> relative_error(np.array([3.0]), 201).round(4)
    array([0.1])
    """
    return np.sqrt((kurtosis - 1 + 2 / (count - 1)) / count)


def largest_interval(
    variance: Float[np.ndarray, " P"], error: Float[np.ndarray, " P"], level: float = 0.95
) -> Interval:
    """The largest variance of P coordinates; `error`: the standard errors of their logarithms.

    The high end is the largest of the coordinates' high ends, which misses no more often than a single one. The low end
    is the largest low end after Bonferroni over the coordinates that may have the largest variance; it is exact when
    one coordinate stands out and conservative among near-ties.
    """
    alive = variance > 0
    if not alive.any():
        return Interval.exact(0.0)
    variance, error = variance[alive], error[alive]
    tail = (1 - level) / 2
    z = float(-ndtri(tail))
    best = (variance * np.exp(-z * error)).max()
    rivals = variance * np.exp(z * error) >= best
    strict = float(-ndtri(tail / rivals.sum()))
    low = (variance * np.exp(-strict * error))[rivals].max()
    return Interval(float(variance.max()), float(low), float((variance * np.exp(z * error)).max()))


def trace_error(distances: Float[np.ndarray, " R"], trace: float, trace_of_square: float) -> float:
    """The jackknife standard error of log tr Σ̂, from each replicate's squared distance to (nearly) the mean.

    `trace_of_square`: tr Σ² of one replicate's covariance; its term alone remains when all distances are equal.
    """
    n = len(distances)
    spread = (1 + largest_share(distances)) * distances.var(ddof=1) / n
    return float(np.sqrt(spread + 2 * trace_of_square / (n * (n - 1))) / trace)
