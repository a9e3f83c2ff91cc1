"""Tests of many ratios at once; for a single ratio see `bench.statistics.interval`, for means over problems
`bench.statistics.over_problems`."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t

from bench.statistics.interval import Interval
from bench.statistics.means import holm


def p_above(ratio: Interval, bound: float, degrees: Any = np.inf) -> Float[ndarray, "..."]:
    """p-value of the test whose alternative is ratio > `bound`; NaN without an interval.

    `degrees`: degrees of freedom of the t distribution behind the interval. Default: infinite, a normal distribution.
    """
    return _p(ratio.value, ratio.low, bound, 1.0, degrees)


def p_below(ratio: Interval, bound: float, degrees: Any = np.inf) -> Float[ndarray, "..."]:
    """p-value of the test whose alternative is ratio < `bound`; NaN without an interval. `degrees` as in `p_above`."""
    return _p(ratio.value, ratio.high, bound, -1.0, degrees)


def _p(
    value: Float[ndarray, "..."], end: Float[ndarray, "..."], bound: float, sign: float, degrees: Any
) -> Float[ndarray, "..."]:
    """Student's t test on the log scale, with the standard error from the side of the interval that faces `bound`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = sign * (np.log(value) - np.log(bound))
        error = sign * (np.log(value) - np.log(end)) / t.ppf(0.975, degrees)
        tested = t.sf(distance / error, degrees)
    certain = np.where(distance > 0, 0.0, 1.0)
    exact = (error == 0) | np.isinf(distance) | ((value == end) & np.isfinite(distance))
    return np.where(np.isnan(value) | np.isnan(end), np.nan, np.where(exact, certain, tested))


def verdicts(ratios: Interval, margin: float, *, lower_is_better: bool = True, level: float = 0.05) -> list[str]:
    """The verdict on each ratio to the baseline: `same`, `better`, `worse` or `unclear`; empty without a ratio.

    `same`: two one-sided tests show the ratio between 1 ÷ (1 + margin) and 1 + margin. Otherwise `better` or
    `worse`: a test shows the ratio on that side of 1. Holm's method runs over all these tests together.
    """
    shape = ratios.value.shape
    equal = np.fmax(p_above(ratios, 1 / (1 + margin)), p_below(ratios, 1 + margin))
    differ = np.minimum(1.0, 2 * np.fmin(p_above(ratios, 1.0), p_below(ratios, 1.0)))
    adjusted = holm(np.concatenate([equal.ravel(), differ.ravel()])).reshape(2, *shape)
    words = []
    for value, same, other in zip(ratios.value.ravel(), *adjusted.reshape(2, -1), strict=True):
        if np.isnan(value):
            words.append("")
        elif same < level:
            words.append("same")
        elif other < level:
            words.append("better" if (value < 1) == lower_is_better else "worse")
        else:
            words.append("unclear")
    return words
