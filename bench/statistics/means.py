"""Tests and intervals of a mean that hold for skewed data, and the adjustment of p-values for many tests.

Hall's (1992) cubic transformation of Student's t removes the skewness term of its Edgeworth expansion and is
monotone. With S = (m − μ)/s and skewness γ: T = √n [S + γS²/3 + γ²S³/27 + γ/(6n)].
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from bench.statistics.interval import Interval

Numbers = float | np.ndarray


def hall(mean: Numbers, sd: Numbers, skewness: Numbers, count: int, truth: Numbers = 0.0) -> Numbers:
    """Hall's skewness-corrected t statistic; about standard normal if the true mean is `truth`.

    `mean`, `sd`, `skewness`: of a sample of `count` values; numbers, or arrays of one shape.

    >>> float(hall(1.0, 1.0, 0.0, 4))
    2.0
    """
    s = (mean - truth) / sd
    return count**0.5 * (s + skewness * s**2 / 3 + skewness**2 * s**3 / 27 + skewness / (6 * count))


def two_sided(z: Numbers) -> Numbers:
    """The two-sided p-value P(|Z| > |z|) of a standard normal Z."""
    return 2 * ndtr(-np.abs(z))


def mean_interval(values: Float[np.ndarray, " R"], level: float = 0.95) -> Interval:
    """The interval of the mean of R values, by inverting Hall's transformation.

    >>> interval = mean_interval(np.random.default_rng(0).exponential(size=1000))
    >>> interval.low < 1 < interval.high
    True
    """
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    skewness = third_and_fourth(values - mean)[0] / variance**1.5 if variance > 0 else 0.0
    return hall_interval(mean, variance, skewness, len(values), level)


def third_and_fourth(centred: Float[np.ndarray, " R"]) -> tuple[float, float]:
    """The means of third and fourth powers, by products: numpy's power takes thirty times as long.

    >>> third_and_fourth(np.array([-2.0, 1.0, 1.0]))
    (-2.0, 6.0)
    """
    square = centred * centred
    return float((square * centred).mean()), float((square * square).mean())


def hall_interval(mean: float, variance: float, skewness: float, count: int, level: float = 0.95) -> Interval:
    """The interval of the means that Hall's test does not reject, from a sample's mean, variance and skewness."""
    z = float(ndtri((1 + level) / 2))
    sd = variance**0.5
    return Interval(mean, mean - sd * _inverse(z, skewness, count), mean - sd * _inverse(-z, skewness, count))


def _inverse(z: float, skewness: float, count: int) -> float:
    """The S at which Hall's T is z."""
    y = z / count**0.5 - skewness / (6 * count)
    if abs(skewness) < 1e-6:
        return y
    return float(3 / skewness * (np.cbrt(1 + skewness * y) - 1))


def holm(p: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """p-values adjusted by Holm's step-down method (1979).

    If all adjusted p-values below α are rejected, the probability of any false rejection is at most α. A NaN is not
    counted as a test and stays NaN.

    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).tolist()
    [0.03, nan, 0.06, 0.06]
    """
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """p-values adjusted by the step-up method of Benjamini and Hochberg (1995).

    If all adjusted p-values below α are rejected, the expected share of false rejections among them is at most α, also
    for tests that depend positively on each other (Benjamini and Yekutieli 2001). A NaN is no test and stays NaN.

    >>> benjamini_hochberg(np.array([0.01, np.nan, 0.04, 0.03])).tolist()
    [0.03, nan, 0.04, 0.04]
    """
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted
