"""The linear regression's bound, its evidence, and the zero variance of sticking the landing at its posterior."""

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives.linear_regression import LinearRegression
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from tests.support.exactness import assert_unbiased

REGRESSION = LinearRegression()


def problem(family, point):
    return Problem(distributions.get(family, size=10), REGRESSION, point=point)


def exact_bound(which, theta):
    return REGRESSION.expectation(which.family, which.point, which.encode(theta))


def exact_gradient(which):
    return as_vector(torch.func.grad(lambda theta: exact_bound(which, theta))(which.theta()))


def test_the_bound_at_the_posterior_is_the_evidence():
    which = problem("multivariate_normal", "trained")
    assert torch.isclose(exact_bound(which, which.theta()), REGRESSION.log_evidence(), rtol=1e-12)


def test_f_is_the_evidence_for_every_draw_from_the_posterior():
    torch.manual_seed(0)
    which = problem("multivariate_normal", "trained")
    q = which.build(which.encode(which.theta()))
    z = q.sample((10,))
    assert torch.allclose(which.function(z)(z, q), REGRESSION.log_evidence().expand(10), rtol=1e-11)


@pytest.mark.parametrize("family", ["normal", "multivariate_normal"])
def test_the_gradient_vanishes_at_the_trained_point(family):
    assert exact_gradient(problem(family, "trained")).norm() < 1e-9


def test_sticking_the_landing_has_no_variance_at_the_posterior():
    torch.manual_seed(0)
    which = problem("multivariate_normal", "trained")
    landed, plain = (
        Gradients(which, estimators.get(name), samples=1)(200)
        for name in ("sticking_the_landing", "reparameterisation")
    )
    assert landed.std(0).max() < 1e-9
    assert plain.std(0).max() > 1


@pytest.mark.parametrize("family", ["normal", "multivariate_normal"])
@pytest.mark.parametrize("name", ["rloo", "reparameterisation"])
def test_estimates_agree_with_the_exact_gradient(family, name):
    torch.manual_seed(0)
    which = problem(family, "start")
    assert_unbiased(Gradients(which, estimators.get(name), samples=8)(4_000), exact_gradient(which), resolution=0.1)
