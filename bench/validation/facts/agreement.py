"""Checks that recur: an estimator's mean and variance, by a rule over its noise and by draws, against a formula."""

import numpy as np
from torch import Tensor

from bench.problems.problem import Problem
from bench.statistics.moments import Moments
from bench.statistics.variances import relative_error
from bench.validation.facts.fact import Check, FactResults, exact, near
from bench.validation.facts.noise_rules import Line, population
from bench.validation.facts.sampler import SIGMAS, Sampler
from estimators.core import Estimator


def agrees(
    sampler: Sampler,
    what: str,
    problem: Problem,
    estimator: Estimator,
    lines: list[Line],
    *,
    samples: int = 1,
    mean: float | None = None,
    variance: float | None = None,
    at: int = 0,
    full: int = 2**20,
    rounding: float = 1e-8,
) -> FactResults:
    """Coordinate `at` has this mean and variance: by a rule to `rounding`, by draws to 4 standard errors.

    What is exact is so relative to the estimate's root mean square, or to 1 where that is nothing.
    """
    whole = population(problem, estimator, samples, *lines)
    size = float(whole.mean[at] ** 2 + whole.variance[at]) ** 0.5
    size = size if size > 1e-9 else 1.0
    if mean is not None:
        yield exact(f"{what}: mean, by a rule", mean, float(whole.mean[at]), rounding, scale=size)
    if variance is not None:
        scale = variance or size**2
        yield exact(f"{what}: variance, by a rule", variance, float(whole.variance[at]), rounding, scale=scale)
        drawn = sampler.moments(problem, estimator, samples, full)
        if variance:
            yield variance_near(f"{what}: variance, by draws", variance, drawn, at, kurtosis=float(whole.kurtosis[at]))
        else:
            yield near(f"{what}: variance, by draws", 0.0, float(drawn.variance[at]), 1e-20 * scale, scale=scale)


def variance_near(
    what: str, variance: float, drawn: Moments, at: int, *, kurtosis: float | None = None, within: float = 0.1
) -> Check:
    """The draws have this variance; its standard error takes the population's kurtosis where it is known."""
    kurtosis = float(drawn.kurtosis[at]) if kurtosis is None else kurtosis
    error = SIGMAS * variance * float(relative_error(np.array([kurtosis]), drawn.count)[0])
    return near(what, variance, float(drawn.variance[at]), error, within)


def mean_near(
    what: str, mean: float, drawn: Moments, at: int, *, within: float = 0.1, scale: float | None = None
) -> Check:
    """The draws have this mean, to 4 standard errors."""
    error = SIGMAS * float(drawn.variance[at] / drawn.count) ** 0.5
    return near(what, mean, float(drawn.mean[at]), error, within, **({} if scale is None else {"scale": scale}))


def trace_near(what: str, variance: float, sample: Tensor, within: float = 0.1) -> Check:
    """The mean over coordinates of the variances of estimates `[R, P]`, to 4 standard errors over the replicates."""
    distance = (sample - sample.mean(0)).square().mean(1) * len(sample) / (len(sample) - 1)
    error = SIGMAS * float(distance.std()) / len(sample) ** 0.5
    return near(what, variance, float(distance.mean()), error, within)
