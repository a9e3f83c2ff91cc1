"""The interval of the length of a mean vector, from its noisy squared length, valid down to length 0.

‖m‖² of a noisy mean m = b + ε is too long by tr Σ/n. Split the noise along b and across it:

    ‖m‖² = (‖b‖ + σ T)² + W,   T ~ Student,   W ~ scale · χ²_ν,

where σ² is the variance of m along its own direction and W has the mean tr Σ/n − σ² and the variance
2 (tr Σ²/n² − σ⁴) of the noise across. Exact when P = 1, or when b is an eigenvector of an isotropic Σ;
right in the first two moments otherwise (Satterthwaite 1946). The interval inverts this distribution in ‖b‖.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import gammaincinv, stdtr

from bench.statistics.interval import Interval

_LEVELS = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class NoisyLength:
    """A mean vector's squared length and its noise.

    `trace` and `trace_of_square` are those of the mean's covariance; `along` is its variance along the mean's
    own direction, known with `freedom` degrees of freedom.
    """

    square: float
    trace: float
    trace_of_square: float
    along: float
    freedom: int

    @property
    def value(self) -> float:
        """The debiased length: √(‖m‖² − tr), 0 where the noise explains it all."""
        return max(self.square - self.trace, 0.0) ** 0.5

    def across(self) -> Float[np.ndarray, " W"]:
        """Equally likely values of W."""
        mean = self.trace - self.along
        half_variance = self.trace_of_square - self.along**2
        if mean <= 1e-9 * self.trace or half_variance <= 1e-12 * self.trace**2:
            return np.full(1, max(mean, 0.0))
        return half_variance / mean * 2 * gammaincinv(mean**2 / half_variance / 2, _LEVELS)

    def interval(self, level: float = 0.95) -> Interval:
        """Two-sided, equal tails; the low end is 0 where length 0 is not rejected.

        A ‖m‖² below its own median at length 0 says no more about ‖b‖ than the median does, so the high end
        never falls below the one at that median.
        """
        if self.trace <= 0:
            return Interval.exact(self.value)
        across, sigma = self.across(), max(self.along, 1e-12 * self.trace) ** 0.5

        def below(square: float, length: float) -> float:
            """P(‖m‖² ≤ square) if the length is `length`."""
            root = np.sqrt(np.maximum(square - across, 0.0))
            inside = stdtr(self.freedom, (root - length) / sigma) - stdtr(self.freedom, (-root - length) / sigma)
            return float(inside.mean())

        def solve(square: float, chance: float) -> float:
            if below(square, 0.0) <= chance:
                return 0.0
            return root(lambda length: below(square, length) - chance, square**0.5 + 40 * sigma)

        tail = (1 - level) / 2
        top = self.trace + 20 * (2 * self.trace_of_square) ** 0.5 + self.trace
        median = root(lambda square: below(square, 0.0) - 0.5, top)
        return Interval(self.value, solve(self.square, 1 - tail), solve(max(self.square, median), tail))


def root(function: Callable[[float], float], high: float) -> float:
    """Where a monotone function changes sign, looked for between 0 and `high`, and beyond."""
    start = function(0.0)
    while function(high) * start > 0:
        high *= 2
    found = brentq(function, 0.0, high, xtol=1e-6 * high)
    return float(found)  # pyright: ignore[reportArgumentType]


def trace_of_square(gram: Float[np.ndarray, "B B"], trace: float, dim: int) -> float:
    """tr Σ² of the mean's covariance Σ, from the Gram matrix of B centred batch means.

    Unbiased under normality (Srivastava 2005, eq. 2.2), kept between tr²/P (isotropic) and tr² (one direction);
    tr² where fewer than three batches say nothing.

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
