"""Groups of values of f: means, deviations from the mean, and the standard deviation, safe from rounding and overflow.

`group_mean`, `grpo`, `rloo` and the losses of `estimators.policy` share these formulas. The axes of the group are the
draws: axis 0 of an estimator's values, the last one or two of a loss's rewards.
"""

import math

import torch
from torch import Tensor

ROUNDING = 8
"""Deviations up to this many units of relative rounding (eps) count as zero, see `rounding`."""


def rounding(value: Tensor, axes: tuple[int, ...] = (0,), *, keepdim: bool = False) -> Tensor:
    """Returns the largest difference along `axes` that rounding alone explains: 8 eps max |f|.

    f computes a value by several operations, each of which rounds it by eps/2 of its size; after 16 of them equal
    numbers differ by 8 eps at most. The number of values does not matter: differences of values within a factor of 2
    are exact (Sterbenz), and a mean of differences rounds by their size, not by that of f.

    >>> bool(rounding(torch.tensor([0.3, -0.1])) < 1e-6)
    True
    """
    return ROUNDING * torch.finfo(value.dtype).eps * value.abs().amax(axes, keepdim=keepdim)


def mean_of_group(value: Tensor, axis: int = 0) -> Tensor:
    """Returns the mean along `axis`, which keeps size 1."""
    return value.mean(axis, keepdim=True)


def mean_of_others(value: Tensor, axis: int = 0) -> Tensor:
    """Returns for each value the mean of the others along `axis`, of at least 2.

    >>> mean_of_others(torch.tensor([1.0, 3.0, 8.0]))
    tensor([5.5000, 4.5000, 2.0000])
    """
    return (value.sum(axis, keepdim=True) - value) / (value.shape[axis] - 1)


def apart_from_mean(value: Tensor, axes: tuple[int, ...] = (0,)) -> Tensor:
    """Returns the values less their mean along `axes`, 0 where they are equal.

    The first value is subtracted first: that is exact for values within a factor of 2.
    """
    first = value
    for axis in axes:
        first = first.narrow(axis, 0, 1)
    apart = value - first
    return apart - apart.mean(axes, keepdim=True)


def deviation_of(apart: Tensor, smallest: Tensor, axes: tuple[int, ...] = (0,), *, bessel: bool = True) -> Tensor:
    """Returns the standard deviation along `axes`, which keep size 1, of values less their mean.

    Squares are taken of numbers near 1, so that they neither vanish nor overflow.

    Args:
        apart: the values less their mean (`apart_from_mean`).
        smallest: the largest difference that rounding alone explains (`rounding`): up to it the deviation is 0.
        axes: the group's.
        bessel: whether a variance of n numbers divides by n − 1.

    >>> deviation_of(torch.tensor([-1.0, 1.0]), torch.tensor(0.0), bessel=False)
    tensor([1.])
    """
    n = math.prod(apart.shape[axis] for axis in axes)
    widest = apart.abs().amax(axes, keepdim=True)
    share = apart / widest.masked_fill(widest <= smallest, torch.inf)  # NaN stays NaN
    return widest * (share.square().sum(axes, keepdim=True) / (n - bessel)).sqrt()


def over_scale(advantage: Tensor, scale: Tensor, epsilon: float = 0.0) -> Tensor:
    """Returns advantage / (scale + ε), and 0 where that is a division by 0; scale and ε are 0 or more, or NaN."""
    below = scale + epsilon if epsilon else scale
    return advantage / below.masked_fill(below == 0, torch.inf)
