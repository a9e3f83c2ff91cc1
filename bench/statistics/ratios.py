"""Tests of many ratios at once, and the interquartile mean of ratios; for a single ratio see
`bench.statistics.interval`."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, t

from bench.statistics.interval import Interval
from bench.statistics.means import holm
from bench.statistics.ties import possible_values

Z_95 = float(norm.ppf(0.975))
RESAMPLES = 1000


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


def interquartile_mean(values: Float[ndarray, "k draws"]) -> Float[ndarray, " draws"]:
    """The mean of the middle half along the first axis; the mean of all values where there are fewer than four.

    >>> interquartile_mean(np.array([[0.0], [1.0], [2.0], [100.0]])).tolist()
    [1.5]
    """
    ordered = np.sort(values, axis=0)
    cut = len(ordered) // 4
    with np.errstate(invalid="ignore"):
        return ordered[cut : len(ordered) - cut].mean(axis=0)


def middle(ratios: Interval, strata: list[str], seed: int = 0) -> Interval:
    """The interquartile mean of the log ratios over problems (Agarwal et al. 2021), as a ratio, with its interval.

    Each stratum (a problem) counts once, by the mean of its log ratios over sample sizes. The estimated quantity is the
    interquartile mean of the strata's *true* log ratios: the interval holds for these problems and does not extend to
    other problems. With up to three strata the value is the plain mean, and its ends follow `Interval.over`. With four
    or more, the interval contains the value and two other intervals (`_trimmed`). Strata measured without error, and
    infinite log ratios (a variance of 0), are used as they are.

    Args:
        ratios: k ratios with their intervals.
        strata: The stratum of each ratio.
        seed: Seed of the resampling.

    Returns:
        The interquartile mean with its 95 % interval.
    """
    names, index = np.unique(np.array(strata, dtype=object).astype(str), return_inverse=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(ratios.value)
        up, down = np.log(ratios.high) - log, log - np.log(ratios.low)
    share = (index == np.arange(len(names))[:, None]) / np.bincount(index)[:, None]
    with np.errstate(invalid="ignore"):  # 0 × ∞ of another stratum
        centre = np.array([log[index == stratum].mean() for stratum in range(len(names))])
    above, below = (np.sqrt((share**2) @ _finite(side) ** 2) for side in (up, down))
    if len(names) < TRIMMED:
        value, reach = centre.mean(), (np.sqrt((side**2).sum()) / len(names) for side in (below, above))
        low, high = (value + sign * each for sign, each in zip((-1, 1), reach, strict=True))
    else:
        low, value, high = _trimmed(centre, (above + below) / (2 * Z_95), seed)
    return Interval(*(np.exp(np.asarray(each)) for each in (value, low, high)))


TRIMMED = 4
"""Number of strata from which the interquartile mean leaves some of them out."""
WIDEST = 50.0
"""Half-width that stands for an unbounded interval of a log ratio."""


def _finite(side: Float[ndarray, " k"]) -> Float[ndarray, " k"]:
    """The half-widths on the log scale, made finite: 0 without an interval, at most `WIDEST`."""
    return np.clip(np.nan_to_num(side, nan=0.0, posinf=WIDEST), 0.0, WIDEST)


def _trimmed(centre: Float[ndarray, " k"], error: Float[ndarray, " k"], seed: int) -> tuple[float, float, float]:
    """Low end, value and high end of the interquartile mean of true values measured as `centre` ± `error`.

    Where true values are equal at a quartile, the interquartile mean has a kink: noise spreads equal values apart, the
    middle half takes the larger (or the smaller) values, and the result is off by a share of the noise that no number
    of problems removes. A bootstrap of the measurements adds this error a second time instead of removing it, so its
    interval is off centre. Two intervals do not have this fault:

    - Σ w x ± 1.96 √Σ w² error², where w is the chance of each value to be in the middle half when noise is added, so
      that equal values share their weight. It is valid for values that differ, near or far, and fails with many ties;
    - the central 95 % of a posterior in which values may be equal (`bench.statistics.ties`). It is valid with ties and
      for values that lie apart, and fails where many different values lie closer than their errors.

    Each is too narrow where the other is valid, so the returned interval contains both intervals and the value.
    """
    value = float(interquartile_mean(centre[:, None])[0])
    known = np.isfinite(centre)
    if not error.any() or not np.isfinite(value):
        return value, value, value
    rng = np.random.default_rng(seed)
    drawn = np.repeat(centre[:, None], RESAMPLES, axis=1)
    drawn[known] = possible_values(centre[known], error[known], RESAMPLES, rng).T
    low, high = np.quantile(interquartile_mean(drawn), [0.025, 0.975])
    weight = _chance_of_the_middle(centre, error, rng)
    shared = weight[known] @ centre[known]
    half = Z_95 * np.sqrt(weight**2 @ error**2)
    return min(low, shared - half, value), value, max(high, shared + half, value)


def _chance_of_the_middle(
    centre: Float[ndarray, " k"], error: Float[ndarray, " k"], rng: np.random.Generator
) -> Float[ndarray, " k"]:
    """The weight of each value in the mean of the middle half, averaged over draws of the noise; the sum is 1."""
    k = len(centre)
    order = np.argsort(centre + error * rng.standard_normal((RESAMPLES, k)), axis=1)[:, k // 4 : k - k // 4]
    return np.bincount(order.ravel(), minlength=k) / order.size
