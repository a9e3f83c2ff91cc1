"""Ratios of two measured numbers with intervals; many tests at once; the middle of many ratios.

Cells draw independently of each other, so the interval of a ratio comes from the two cells' own intervals.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

from bench.statistics.means import holm

Z = float(norm.ppf(0.975))
DRAWS = 4000


class Ratio(NamedTuple):
    """Ratios and the ends of their 95 % intervals, float arrays (or scalars) of one shape; NaN where there is none."""

    value: Any
    low: Any
    high: Any


def ratio(above: Ratio, below: Ratio) -> Ratio:
    """above ÷ below with its interval, from two independent numbers with theirs.

    On the log scale by the method of variance estimates recovery (Zou and Donner 2008), which keeps the asymmetry
    of the intervals: log low = log a − log b − √((log a − log a_low)² + (log b_high − log b)²). A number that is 0
    (an exact estimator's variance) has the ratio 0 to any other and 1 to another 0.

    >>> certain = Ratio(*np.ones(3))
    >>> found = ratio(Ratio(*np.array([2.0, 1.8, 2.2])), certain)
    >>> [round(float(end), 3) for end in found]
    [2.0, 1.8, 2.2]
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centre = np.log(above.value) - np.log(below.value)
        down = np.hypot(np.log(above.value) - np.log(above.low), np.log(below.high) - np.log(below.value))
        up = np.hypot(np.log(above.high) - np.log(above.value), np.log(below.value) - np.log(below.low))
        found = Ratio(np.exp(centre), np.exp(centre - down), np.exp(centre + up))
    zero = (above.value == 0) | (below.value == 0)
    limit = np.where(above.value == below.value, 1.0, np.where(above.value == 0, 0.0, np.inf))
    limit = np.where(np.isnan(above.value) | np.isnan(below.value), np.nan, limit)
    return Ratio(*(np.where(zero, limit, each) for each in found))


def p_above(found: Ratio, bound: float) -> Float[ndarray, "..."]:
    """p-value of the test whose alternative is ratio > `bound`; NaN without an interval."""
    return _p(found.value, found.low, bound, 1.0)


def p_below(found: Ratio, bound: float) -> Float[ndarray, "..."]:
    """p-value of the test whose alternative is ratio < `bound`; NaN without an interval."""
    return _p(found.value, found.high, bound, -1.0)


def _p(value: Float[ndarray, "..."], end: Float[ndarray, "..."], bound: float, sign: float) -> Float[ndarray, "..."]:
    """Normal on the log scale, with the standard error of the side of the interval that faces the bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = sign * (np.log(value) - np.log(bound))
        error = sign * (np.log(value) - np.log(end)) / Z
        tested = norm.sf(distance / error)
    certain = np.where(distance > 0, 0.0, 1.0)
    exact = (error == 0) | np.isinf(distance) | ((value == end) & np.isfinite(distance))
    return np.where(np.isnan(value) | np.isnan(end), np.nan, np.where(exact, certain, tested))


def verdicts(found: Ratio, margin: float, *, lower_is_better: bool = True, level: float = 0.05) -> list[str]:
    """`same`, `better`, `worse` or `unclear` for each ratio to the baseline, empty without a ratio.

    `same`: two one-sided tests show the ratio between 1 ÷ (1 + margin) and 1 + margin. Otherwise `better` or
    `worse`: the ratio is shown to be on that side of 1. Holm's method runs over all of these tests together.
    """
    shape = found.value.shape
    equal = np.fmax(p_above(found, 1 / (1 + margin)), p_below(found, 1 + margin))
    differ = np.minimum(1.0, 2 * np.fmin(p_above(found, 1.0), p_below(found, 1.0)))
    adjusted = holm(np.concatenate([equal.ravel(), differ.ravel()])).reshape(2, *shape)
    words = []
    for value, same, other in zip(found.value.ravel(), *adjusted.reshape(2, -1), strict=True):
        if np.isnan(value):
            words.append("")
        elif same < level:
            words.append("same")
        elif other < level:
            words.append("better" if (value < 1) == lower_is_better else "worse")
        else:
            words.append("unclear")
    return words


def interquartile_mean(values: Float[ndarray, "k draws"]) -> Float[ndarray, " draws"]:
    """The mean of the middle half along the first axis; of all where there are fewer than four.

    >>> interquartile_mean(np.array([[0.0], [1.0], [2.0], [100.0]])).tolist()
    [1.5]
    """
    ordered = np.sort(values, axis=0)
    cut = len(ordered) // 4
    with np.errstate(invalid="ignore"):
        return ordered[cut : len(ordered) - cut].mean(axis=0)


def middle(found: Ratio, strata: list[str], seed: int = 0) -> Ratio:
    """The interquartile mean of the log ratios over problems (Agarwal et al. 2021), as a ratio, with its interval.

    The mean of the log ratios within each stratum (a problem, at several sample sizes), then the interquartile mean
    over strata. The interval is a stratified bootstrap: each problem's ratios are drawn anew from their own sampling
    distribution, a normal on the log scale with the two sides of the interval; it says how well the number is
    measured on these problems, not what other problems would give.
    """
    names, index = np.unique(np.array(strata, dtype=object).astype(str), return_inverse=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(found.value)
        up, down = (np.log(found.high) - log) / Z, (log - np.log(found.low)) / Z
    noise = np.random.default_rng(seed).standard_normal((DRAWS, len(log)))
    spread = np.nan_to_num(np.where(noise > 0, up, down), nan=0.0, posinf=0.0)
    centre = interquartile_mean(_per_stratum(log[None], index, len(names)))[0]
    drawn = interquartile_mean(_per_stratum(log + noise * spread, index, len(names)))
    low, high = np.quantile(drawn, [0.025, 0.975]) if np.isfinite(centre) else (centre, centre)
    return Ratio(*(np.exp(np.asarray(each)) for each in (centre, low, high)))


def _per_stratum(values: Float[ndarray, "draws k"], index: ndarray, strata: int) -> Float[ndarray, "strata draws"]:
    return np.stack([values[:, index == stratum].mean(axis=1) for stratum in range(strata)])
