"""The interval of the norm of a mean vector, from its noisy squared norm; valid down to norm 0.

For a noisy mean m = b + ε, ‖m‖² exceeds ‖b‖² by tr Σ/n on average. Split the noise along b and across b:

    ‖m‖² = (‖b‖ + σ T)² + W,   T ~ Student,   W ~ scale · χ²_ν,

where σ² is the variance of m along its own direction and W has the mean tr Σ/n − σ² and the variance
2 (tr Σ²/n² − σ⁴) of the noise across. This is exact when P = 1, or when b is an eigenvector of an isotropic Σ, and
matches the first two moments otherwise (Satterthwaite 1946). The interval inverts this distribution in ‖b‖.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import gammaincinv, stdtr

from bench.statistics.interval import Interval

_LEVELS = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class NoisyLength:
    """The squared norm of a mean vector, and its noise.

    `square`: ‖m‖². `trace`, `trace_of_square`: of the covariance of the mean. `along`: the variance of the mean along
    its own direction, estimated with `freedom` degrees of freedom.
    """

    square: float
    trace: float
    trace_of_square: float
    along: float
    freedom: int

    @property
    def value(self) -> float:
        """The debiased norm √(‖m‖² − tr), or 0 where the noise explains all of ‖m‖²."""
        return max(self.square - self.trace, 0.0) ** 0.5

    def across(self) -> Float[np.ndarray, " W"]:
        """Equally likely values of W."""
        mean = self.trace - self.along
        half_variance = self.trace_of_square - self.along**2
        if mean <= 1e-9 * self.trace or half_variance <= 1e-12 * self.trace**2:
            return np.full(1, max(mean, 0.0))
        return half_variance / mean * 2 * gammaincinv(mean**2 / half_variance / 2, _LEVELS)

    def interval(self, level: float = 0.95) -> Interval:
        """The two-sided interval with equal tails; its low end is 0 where norm 0 is not rejected.

        A ‖m‖² below its median at norm 0 carries no more information about ‖b‖ than the median, so the high end never
        falls below the high end at that median.
        """
        if self.trace <= 0:
            return Interval.exact(self.value)
        across, sigma = self.across(), max(self.along, 1e-12 * self.trace) ** 0.5

        @cache
        def below(square: float, length: float) -> float:
            """P(‖m‖² ≤ square) if ‖b‖ = `length`."""
            root = np.sqrt(np.maximum(square - across, 0.0))
            inside = stdtr(self.freedom, (root - length) / sigma) - stdtr(self.freedom, (-root - length) / sigma)
            return float(inside.mean())

        def solve(square: float, chance: float) -> float:
            if below(square, 0.0) <= chance:
                return 0.0
            return root(lambda length: below(square, length) - chance, square**0.5 + 40 * sigma)

        def median() -> float:
            top = self.trace + 20 * (2 * self.trace_of_square) ** 0.5 + self.trace
            return root(lambda square: below(square, 0.0) - 0.5, top)

        tail, square = (1 - level) / 2, self.square
        above = square if below(square, 0.0) > 0.5 else max(square, median())
        return Interval(self.value, solve(square, 1 - tail), solve(above, tail))


def root(function: Callable[[float], float], high: float) -> float:
    """The zero of a monotone function, sought between 0 and `high`, and beyond `high` where needed."""
    start = function(0.0)
    while function(high) * start > 0:
        high *= 2
    found = brentq(function, 0.0, high, xtol=1e-6 * high)
    return float(found)  # pyright: ignore[reportArgumentType]


def trace_of_square(gram: Float[np.ndarray, "B B"], trace: float, dim: int) -> float:
    """tr Σ² of the mean's covariance Σ, from the Gram matrix of B centred batch means.

    Unbiased under normality (Srivastava 2005, eq. 2.2), clipped between tr²/P (isotropic) and tr² (one direction).
    Returns tr² where there are fewer than three batches.

    >>> trace_of_square(np.eye(3) * 2, 1.0, 1)
    1.0
    """
    freedom = len(gram) - 1
    if freedom < 2:
        return trace**2
    scale = 1 / (freedom * len(gram))  # the mean's covariance is that of a batch mean divided by B
    square, first = float((gram**2).sum()) * scale**2, float(np.trace(gram)) * scale
    estimate = freedom**2 / ((freedom - 1) * (freedom + 2)) * (square - first**2 / freedom)
    estimate *= (trace / first) ** 2 if first > 0 else 0.0
    return min(max(estimate, trace**2 / dim), trace**2)
