"""Posterior draws of true values that may be equal, given noisy measurements.

The mean of the middle half has a kink where true values are equal at a quartile: noise spreads equal values apart, the
sort then puts the larger of them into the upper half, and the mean of the middle half is off by a share of the noise
that no number of problems removes. A bootstrap of the measurements adds this error a second time instead of removing
it. So this module draws the true values, not the measurements.

The model: the sorted true values fall into groups of equal values. A partition into groups of sizes m₁, m₂, … has the
prior weight ∏ (m_j − 1)!, as in a Dirichlet process with concentration 1; a group's value is a priori
N(centre, width²), with a width that exceeds the spread of the measurements; a measurement is N(true value, error²).
The sums over all partitions of the sorted measurements follow from a recursion over their ends (Barry and Hartigan
1992, "Product partition models for change point problems"), so that a draw is exact and needs no Markov chain. Values
that lie far apart compared with their errors stay apart, each with its own error; values that agree share one value.
Where many different values lie closer than their errors, the groups are too coarse and the posterior is too narrow;
`bench.statistics.ratios.middle` allows for this.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import gammaln

SMALLEST = 1e-9
"""The error assumed for an exact value, relative to the range of the values; it keeps the sums finite."""


def possible_values(
    values: Float[ndarray, " k"], errors: Float[ndarray, " k"], draws: int, rng: np.random.Generator
) -> Float[ndarray, "draws k"]:
    """Draws from the posterior of k true values, given measurements `values` with normal standard errors `errors`.

    Returns one set of true values per row, `[draws, k]`, in the order of the sorted `values`.

    >>> abs(possible_values(np.array([2.0, 0.0]), np.zeros(2), 3, np.random.default_rng(0)).round(6)).tolist()
    [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]]
    """
    order = np.argsort(values, kind="stable")
    x = values[order]
    error = np.maximum(errors[order], SMALLEST * (np.ptp(x) or 1.0))
    width2 = 2 * max(x.var() - np.median(error) ** 2, np.median(error) ** 2)
    ending, precision, mean = _groups(x, error**-2, np.median(x), width2)
    starts = _starts(ending, draws, rng)
    ends = np.roll(starts, -1, axis=1)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(x)), 0), axis=1)
    ends[:, -1] = True
    behind = np.where(ends, np.arange(1, len(x) + 1), len(x))
    last = np.minimum.accumulate(behind[:, ::-1], axis=1)[:, ::-1]
    noise = np.take_along_axis(rng.standard_normal((draws, len(x))), first, axis=1)
    return mean[first, last] + noise * precision[first, last] ** -0.5


def _groups(
    x: Float[ndarray, " k"], weight: Float[ndarray, " k"], centre: float, width2: float
) -> tuple[Float[ndarray, "k k"], Float[ndarray, "k+1 k+1"], Float[ndarray, "k+1 k+1"]]:
    """Cumulative probabilities of the start of a group that ends before `end`, in row `end` − 1; and the posterior
    precision and mean of the value of each group [start, end)."""
    k = len(x)
    total, mean, square = np.zeros(k), np.zeros(k), np.zeros(k)  # of the groups from 0, 1, … to `end`
    evidence, ending = np.zeros(k + 1), np.ones((k, k))
    precisions, means = np.ones((k + 1, k + 1)), np.zeros((k + 1, k + 1))
    for end in range(1, k + 1):
        own = slice(0, end)
        total[own] += weight[end - 1]
        away = x[end - 1] - mean[own]
        mean[own] += weight[end - 1] / total[own] * away
        square[own] += weight[end - 1] * away * (x[end - 1] - mean[own])
        shrunk = 1 + width2 * total[own]
        likelihood = -0.5 * (np.log(shrunk) + square[own] + total[own] * (mean[own] - centre) ** 2 / shrunk)
        each = evidence[own] + likelihood + gammaln(end - np.arange(end))
        evidence[end] = np.logaddexp.reduce(each)
        ending[end - 1, own] = np.exp(each - evidence[end]).cumsum()
        ending[end - 1, end - 1 :] = 1.0
        precisions[own, end] = total[own] + 1 / width2
        means[own, end] = (total[own] * mean[own] + centre / width2) / precisions[own, end]
    return ending, precisions, means


def _starts(ending: Float[ndarray, "k k"], draws: int, rng: np.random.Generator) -> Bool[ndarray, "draws k"]:
    """Random partitions, drawn from the last group to the first: whether a group starts at each position."""
    k = len(ending)
    rows = (ending + np.arange(k)[:, None]).ravel()  # ascending, so that a single search finds all starts
    starts, left = np.zeros((draws, k), bool), np.full(draws, k)
    while (open_ := np.flatnonzero(left)).size:
        row = left[open_] - 1
        found = np.searchsorted(rows, rng.random(len(row)) + row, side="right") - row * k
        left[open_] = np.minimum(found, row)
        starts[open_, left[open_]] = True
    return starts
