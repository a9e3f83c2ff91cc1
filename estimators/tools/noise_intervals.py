"""Intervals of a gradient's noise and of its ratio of signal to noise, from their estimates and their covariance."""

import math
from collections.abc import Callable
from statistics import NormalDist

ONE_SIDE = 0.025
"""The chance of a miss on each side."""

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(1 - ONE_SIDE)

Ends = tuple[float, float, float]
"""A value with the low and the high end of its interval."""


def student_quantile(degrees: float) -> float:
    """The 97.5 % quantile of Student's t, by its expansion about the normal (Abramowitz and Stegun, 26.7.5).

    >>> round(student_quantile(8.0), 3)
    2.306
    """
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / degrees + second / degrees**2 + third / degrees**3


def positive_interval(value: float, variance: float, degrees: float) -> Ends:
    """The interval of a positive number on the log scale; `variance`: that of its estimate `value`."""
    if value <= 0:
        return 0.0, 0.0, 0.0
    factor = math.exp(min(student_quantile(degrees) * math.sqrt(max(variance, 0.0)) / value, 700.0))
    return value, value / factor, value * factor


def ratio_interval(signal: float, noise: float, covariance: list[list[float]], degrees: float) -> Ends:
    """The interval of ratio = E signal / E noise ≥ 0; the high end is infinite where noise 0 is not rejected.

    A ratio is in the interval if signal − ratio · noise is as near to 0 as its standard error allows (Fieller 1954).
    Near 0 the low tail's share shrinks in proportion to the ratio, in standard errors, and the high tail gets the
    rest of the 5 %: at 0 the test is one-sided. So the interval covers equally well down to 0, and is never empty
    where the signal's estimate is negative (in the way of Feldman and Cousins 1998, Phys. Rev. D 57, 3873).
    """
    if noise <= 0:
        return (math.inf, math.inf, math.inf) if signal > 0 else (0.0, 0.0, math.inf)
    widening = student_quantile(degrees) / Z

    def distance(ratio: float) -> tuple[float, float]:
        """(signal − ratio · noise, ratio · noise), both in standard errors."""
        variance = covariance[0][0] - 2 * ratio * covariance[0][1] + ratio**2 * covariance[1][1]
        error = widening * math.sqrt(max(variance, 0.0)) or math.ulp(0.0)
        return (signal - ratio * noise) / error, ratio * noise / error

    def too_small(ratio: float) -> bool:
        above, size = distance(ratio)
        return above > NORMAL.inv_cdf(1 - 2 * ONE_SIDE + low_tail(size))

    def too_large(ratio: float) -> bool:
        above, size = distance(ratio)
        return size > 0 and above < NORMAL.inv_cdf(low_tail(size))

    value = max(signal / noise, 0.0)
    low = boundary_between(too_small, 0.0, value) if too_small(0.0) else 0.0
    start = value or math.sqrt(max(covariance[0][0], 0.0)) / noise
    beyond = next((out for out in (start * 2**doubling for doubling in range(1, 50)) if too_large(out)), math.inf)
    return value, low, boundary_between(too_large, beyond, value) if math.isfinite(beyond) else math.inf


def low_tail(size: float) -> float:
    """The chance of an estimate below the acceptance region of a true ratio that is `size` standard errors."""
    return max(ONE_SIDE * min(size / Z, 1.0), 1e-300)


def boundary_between(outside: Callable[[float], bool], out: float, inside: float) -> float:
    """The point between `out` and `inside` at which `outside` changes, by bisection."""
    for _ in range(50):
        middle = (out + inside) / 2
        out, inside = (middle, inside) if outside(middle) else (out, middle)
    return (out + inside) / 2
