"""Checks of a loss's mean gradient: by enumeration against a formula, and by the suite's own draws."""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

from bench.problems.problem import Problem
from bench.validation.facts.fact import Check, FactResults, above, below, exact, near
from bench.validation.facts.sampler import SIGMAS, Sampler
from estimators.core import Estimator

GradientVector = Float[Tensor, " P"]
Estimates = Float[Tensor, "R P"]
ROUNDING_OF_PART = 1e-9
FALSE_REJECTION = 6e-5
"""False-alarm rate of the check of all coordinates, that of 4 standard errors."""


def is_vector(what: str, expected: GradientVector, computed: GradientVector, error: float = 1e-9) -> Check:
    """Checks that two gradients agree: their largest difference, relative to the largest expected coordinate."""
    return exact(what, 0.0, relative_distance(expected, computed), error, scale=1.0)


def is_apart(what: str, expected: GradientVector, computed: GradientVector, least: float = 0.01) -> Check:
    """Checks that two gradients differ, by more than `least` of the largest expected coordinate."""
    return above(f"{what}, relative distance", least, relative_distance(expected, computed))


def relative_distance(expected: GradientVector, computed: GradientVector) -> float:
    """Returns the largest difference of two gradients ÷ the largest expected coordinate."""
    return float((computed - expected).abs().max() / expected.abs().max())


def degrees_between(a: GradientVector, b: GradientVector) -> float:
    """Returns the angle between two gradients.

    >>> degrees_between(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    90.0
    """
    cosine = float(a @ b / (a.norm() * b.norm()))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def has_mean(
    sampler: Sampler,
    what: str,
    problem: Problem,
    estimator: Estimator,
    n: int,
    *,
    mean: GradientVector,
    target: GradientVector | None = None,
    full: int = 2**15,
) -> FactResults:
    """Checks by draws that an estimate has this mean, and that it is not `target`.

    Args:
        sampler: Draws the estimates.
        what: Name of the checks.
        problem: The problem.
        estimator: The estimator.
        n: Rollouts of each prompt.
        mean: The expected mean.
        target: The gradient that the mean is not: its distance from the mean is measured too.
        full: Replicates of a full measurement.
    """
    sample = sampler.estimates(problem, estimator, n, full)
    yield from sample_has_mean(what, sample, mean, target=target)


def sample_has_mean(
    what: str, sample: Estimates, mean: GradientVector, *, target: GradientVector | None = None
) -> FactResults:
    """Checks that independent estimates have this mean: along it, in all coordinates, and away from `target`."""
    part, error = part_along(sample, mean)
    yield near(f"{what}: measured mean along the expected one", 1.0, part, error, 0.2)
    apart = sample.mean(0) - mean
    spread = torch.cov(sample.T).reshape(len(mean), -1) / len(sample)
    trace, square = float(spread.trace()), float(spread.square().sum())
    free = trace**2 / square
    bound = float(chi2.isf(FALSE_REJECTION, free)) / free
    what_of_all = f"{what}: squared distance of the measured mean ÷ its noise"
    yield below(what_of_all, 1.2 * bound, float(apart.square().sum()) / trace)
    if target is not None:
        part, error = part_along(sample - target, mean - target)
        yield near(f"{what}: measured distance from the target ÷ the expected one", 1.0, part, error, 0.5)


def part_along(sample: Estimates, direction: GradientVector) -> tuple[float, float]:
    """Returns ⟨mean, direction⟩ ÷ |direction|² of the estimates, and 4 standard errors.

    Estimates may have no noise along the direction, such as that of what is never drawn: rounding is allowed for.
    """
    part = sample @ direction / direction.square().sum()
    return float(part.mean()), SIGMAS * float(part.std()) / len(part) ** 0.5 + ROUNDING_OF_PART


def slope_along_update(sample: Estimates, mean: GradientVector, rise: GradientVector) -> tuple[float, float]:
    """Returns the derivative, along the unit mean of the estimates, of what has the gradient `rise`; 4 standard errors.

    The length of the measured mean is taken along the exact one.
    """
    x, y = sample @ (mean / mean.norm()), sample @ rise
    slope = float(y.mean() / x.mean())
    error = SIGMAS * float((y - slope * x).std()) / float(x.mean()) / len(sample) ** 0.5
    return slope, error


def measured_angle(sample: Estimates, target: GradientVector, mean: GradientVector) -> tuple[float, float]:
    """Returns the angle between the measured mean and the target, in degrees, and 4 standard errors.

    It is measured in the plane of the target and of the exact mean; elsewhere the exact mean has no part.
    """
    u = target / target.norm()
    across = mean - (mean @ u) * u
    v = across / across.norm()
    x, y = sample @ u, sample @ v
    length = float(x.mean() ** 2 + y.mean() ** 2)
    slope = (x.mean() * y - y.mean() * x) / length  # the derivative of the angle in the estimates
    error = SIGMAS * float(slope.std()) / len(sample) ** 0.5
    angle = float(np.arctan2(float(y.mean()), float(x.mean())))
    return math.degrees(angle), math.degrees(error)
