"""Intervals of variances: the jackknife on the logarithm, where the fourth moment lets it work.

The jackknife variance of log s² is (κ − 1 + 2/(n − 1))/n, with κ the kurtosis; the last term alone is left when
the data take two values equally often (κ = 1). The largest of the squared deviations counts twice: of a heavy tail
too little is seen more often than too much, and where no single estimate matters nothing changes. (Lognormal
estimates, κ = 114, 20,000 of them: 91.3 % coverage without, 93.2 % with; 95 % of normal ones either way.) A χ²
interval, which assumes κ = 3, covers 35 % on a score function.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from bench.statistics.interval import Interval
from bench.statistics.tails import largest_share


def relative_error(kurtosis: Float[np.ndarray, " P"], count: int) -> Float[np.ndarray, " P"]:
    """The standard error of log s², per coordinate.

    >>> relative_error(np.array([3.0]), 201).round(4)
    array([0.1])
    """
    return np.sqrt((kurtosis - 1 + 2 / (count - 1)) / count)


def largest_interval(
    variance: Float[np.ndarray, " P"], error: Float[np.ndarray, " P"], level: float = 0.95
) -> Interval:
    """The largest variance of P coordinates; `error`: the standard error of each one's logarithm.

    The high end is the largest of the coordinates' own high ends, which misses no more often than one of them.
    The low end is the largest low end after Bonferroni over the coordinates that may be the largest; it is exact
    when one of them stands out and conservative among near-ties.
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

    `trace_of_square` is tr Σ² of one replicate's covariance: what is left when all distances are equal.
    """
    n = len(distances)
    spread = (1 + largest_share(distances)) * distances.var(ddof=1) / n
    return float(np.sqrt(spread + 2 * trace_of_square / (n * (n - 1))) / trace)
