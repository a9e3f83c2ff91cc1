"""Exact gradients by enumeration or quadrature for small torch distributions, and the test against them."""

from collections.abc import Callable

import torch
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.estimates.gradients import Gradients
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.validation.checks.families import outcomes_behind
from estimators import Estimator, Objective
from estimators.registry import estimators
from estimators.tools.parameters import support

Tensors = dict[str, Tensor]
Build = Callable[..., Distribution]


def estimates(
    estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int, replicates: int, seed: int = 0
) -> Tensor:
    """`[replicates, P]` independent estimates of ∇ E f in `parameters`; P over all of them, in order."""
    torch.manual_seed(seed)
    expanded = {name: value.expand(replicates, *value.shape) for name, value in parameters.items()}
    gradient = torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(expanded)
    return torch.cat([value.flatten(1) for value in gradient.values()], 1)


PRECISE = 0.015
"""Standard error of the mean, relative to its length, up to which `enough` estimates are drawn: a bias of a twelfth is
seen, where `estimators.checks` sees one of a sixth."""
PILOT = 4000
RARE = 300
"""Outcomes on which each coordinate's spread rests in `enough` estimates: a rare one is not left to chance."""


def enough(
    estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int, most: int, seed: int = 0
) -> Tensor:
    """As many `estimates` as take the standard error of their mean to `PRECISE` of its length, at most `most`."""
    if most <= 2 * PILOT:
        return estimates(estimator, build, parameters, f, n, most, seed)
    first = estimates(estimator, build, parameters, f, n, PILOT, seed).double()
    square = first.var(0).sum() / PILOT
    length = (first.mean(0).square().sum() - square).clamp_min(1e-30)
    rare = outcomes_behind(first)[first.var(0) > 0]
    times = max(float(square / length) / PRECISE**2, *(RARE / rare).tolist(), 1.0)
    return estimates(estimator, build, parameters, f, n, min(most, int(1.2 * PILOT * times)), seed)


def enumerated(build: Build, parameters: Tensors, f: Objective) -> Tensor:
    """The exact gradient of E f for a discrete q, `[P]`; −log q inside f is held, as its direct term is zero."""

    def expectation(values: Tensors) -> Tensor:
        q = build(**values)
        z = support(q)
        return (q.log_prob(z).exp() * f(z, q)).sum()

    return torch.cat([value.flatten() for value in torch.func.grad(expectation)(parameters).values()])


def z_scores(sample: Tensor, exact: Tensor) -> Tensor:
    """Per coordinate: (mean − exact) in standard errors; coordinates without variance must agree to 1e-9."""
    mean, error = sample.mean(0), sample.std(0) / len(sample) ** 0.5
    still = error < 1e-12 * (1 + exact.abs())
    assert torch.all((mean - exact)[still].abs() < 1e-9 * (1 + exact.abs().max())), "constant and wrong"
    return torch.where(still, torch.zeros_like(error), (mean - exact) / error.clamp_min(1e-300))


def assert_unbiased(sample: Tensor, exact: Tensor, resolution: float = 0.05, alpha: float = 1e-7) -> None:
    """No coordinate's mean is off by more than chance, and chance is below `resolution` × ‖exact‖ in all.

    The second half is the power: a test that could not have seen a bias of `resolution` fails.
    """
    z = z_scores(sample, exact)
    limit = float(norm.isf(alpha / 2 / z.numel()))
    reached = float((sample.var(0).sum() / len(sample)).sqrt() / exact.norm())
    assert z.abs().max() < limit, f"biased: |z| = {z.abs().max():.1f} > {limit:.1f}"
    assert reached < resolution, f"no power: resolves {reached:.3f} of ‖g‖, not {resolution}; spend more replicates"


def assert_unbiased_on(problem: Problem, estimator: str, samples: int, replicates: int, resolution: float) -> None:
    """`assert_unbiased` of an estimator's estimates on a problem, against the problem's exact gradient."""
    exact = reference(problem)
    assert exact is not None
    torch.manual_seed(0)
    sample = Gradients(problem, estimators.get(estimator), samples)(replicates)
    assert_unbiased(sample, as_vector(exact.gradient), resolution=resolution)


def assert_biased(sample: Tensor, exact: Tensor, z: float = 8.0) -> None:
    """Some coordinate's mean is off by more than `z` standard errors."""
    largest = z_scores(sample, exact).abs().max()
    assert largest > z, f"no bias seen: |z| = {largest:.1f}"
