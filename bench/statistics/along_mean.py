"""What a unit step along E ĝ changes, and how much of E ĝ each of several gradients carries; with intervals.

Both are ratios of means. The delta method gives their intervals: the batch means give the first-order contribution of
each batch, with Student's t of one degree of freedom fewer than batches.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from bench.statistics.block import Block
from bench.statistics.interval import Interval

TOLD = 3.0
"""Standard errors that a denominator must be away from zero."""


def slope_along_mean(block: Block, h: Float[np.ndarray, " P"], level: float = 0.95) -> Interval | None:
    """⟨h, E ĝ⟩/‖E ĝ‖, the derivative along the unit mean of a function whose exact gradient is h.

    ‖E ĝ‖ is debiased by the noise of the mean, as in `bench.statistics.norms`; the error of that correction is part of
    the interval. Returns None where E ĝ is not told from zero.
    """
    mean, n = block.moments.mean, block.count
    noise = block.trace / n
    square, square_error = float(mean @ mean) - noise, (2 * block.trace_of_square) ** 0.5 / n
    if square <= TOLD * square_error:
        return None
    length = square**0.5
    value = float(h @ mean) / length
    each = (block.batches @ h) / length - value * (block.batches @ mean) / square
    return _student(value, each, (value * square_error / (2 * square)) ** 2, level)


def part_weight(
    block: Block, number: int, gradients: Float[np.ndarray, "parts P"], level: float = 0.95
) -> Interval | None:
    """The weight of one of several gradients in E ĝ, relative to the mean of all weights: 1 for each if E ĝ is c · g.

    Weights are the coefficients of the gradients in the least-squares fit of E ĝ by all of them; where they share no
    coordinate, ⟨E ĝ, g_b⟩/‖g_b‖² of each. They are linear in E ĝ, so noise does not bias them.

    Args:
        block: The statistics of the estimates.
        number: Which weight.
        gradients: The gradients, linearly independent, whose mean is g.
        level: Of the interval.

    Returns:
        The weight with its interval; None where the mean of all weights is not told from zero.
    """
    duals = np.linalg.solve(gradients @ gradients.T, gradients)
    each, mean = block.batches @ duals.T, block.moments.mean @ duals.T
    own, all_own, whole = each[:, number], each.mean(1), float(mean.mean())
    if abs(whole) <= TOLD * float(all_own.std(ddof=1)) / len(all_own) ** 0.5:
        return None
    value = float(mean[number]) / whole
    return _student(value, (own - value * all_own) / whole, 0.0, level)


def _student(value: float, each: Float[np.ndarray, " B"], more: float, level: float) -> Interval:
    """Student's interval from the contributions of the batches; `more`: further variance."""
    error = (float(each.var(ddof=1)) / len(each) + more) ** 0.5
    half = float(stdtrit(len(each) - 1, (1 + level) / 2)) * error
    return Interval(value, value - half, value + half)
