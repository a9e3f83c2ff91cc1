"""The logistic regression's exact bound, its points, and estimates against its exact gradient."""

import pytest
import torch
from torch.distributions import Independent, Normal

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.objectives.logistic_regression import bound, log_joint, signed_features
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from tests.support.exactness import assert_unbiased


def problem(point, family="normal"):
    return Problem(distributions.get(family, size=31), objectives.get("logistic_regression"), point=point)


def exact_bound(which, theta):
    value = which.objective.expectation(which.family, which.point, which.encode(theta))
    assert value is not None
    return value


def exact_gradient(which):
    return torch.func.grad(lambda theta: exact_bound(which, theta))(which.theta())


def test_published_bounds():
    """At N(0, I) and at the best diagonal Normal."""
    assert float(exact_bound(problem("start"), problem("start").theta())) == pytest.approx(-1226.59248, abs=1e-5)
    assert float(exact_bound(problem("trained"), problem("trained").theta())) == pytest.approx(-67.4633672, abs=1e-7)


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0])
def test_halving_the_panels_changes_nothing(scale):
    parameters = {"loc": torch.linspace(-1, 1, 31).double(), "scale": torch.full((31,), scale).double()}
    assert float(bound(parameters, 128)) == pytest.approx(float(bound(parameters, 256)), rel=1e-12)


def test_a_diagonal_factor_is_the_diagonal_normal():
    loc, scale = torch.linspace(-1, 1, 31).double(), torch.linspace(0.1, 2, 31).double()
    assert torch.isclose(bound({"loc": loc, "scale": scale}), bound({"loc": loc, "scale_tril": scale.diag()}))


def test_bound_is_the_mean_of_f():
    """Independently drawn with torch's own Normal: |z| < 5.5."""
    torch.manual_seed(0)
    parameters = problem("trained").encode(problem("trained").theta())
    q = Independent(Normal(parameters["loc"], parameters["scale"]), 1)
    draws = q.sample((20_000,))
    value = log_joint(draws, signed_features()) - q.log_prob(draws)
    assert abs(value.mean() - bound(parameters)) < 5.5 * value.std() / 20_000**0.5
    assert value.std() < 0.05 * bound(parameters).abs() * 20_000**0.5


def test_gradient_is_the_finite_difference():
    which = problem("start")
    theta, gradient = which.theta(), exact_gradient(which)
    for name, i in (("loc", 3), ("log_scale", 30)):
        step = torch.zeros(31).double()
        step[i] = 1e-4
        up, down = (exact_bound(which, theta | {name: theta[name] + sign * step}) for sign in (1, -1))
        assert float((up - down) / 2e-4) == pytest.approx(float(gradient[name][i]), rel=1e-6)


@pytest.mark.parametrize("family", ["normal", "multivariate_normal"])
def test_the_gradient_vanishes_at_the_trained_point(family):
    trained, start = (as_vector(exact_gradient(problem(point, family))).norm() for point in ("trained", "start"))
    assert trained < 1e-6 * start


def test_a_full_covariance_has_the_larger_bound():
    diagonal, full = (problem("trained", family) for family in ("normal", "multivariate_normal"))
    assert exact_bound(full, full.theta()) > exact_bound(diagonal, diagonal.theta()) + 10


@pytest.mark.parametrize("name", ["rloo", "reparameterisation", "sticking_the_landing"])
def test_estimates_agree_with_the_exact_gradient(name):
    torch.manual_seed(0)
    which = problem("start")
    gradients = Gradients(which, estimators.get(name), samples=8)
    sample = torch.cat([gradients(250) for _ in range(8)])
    assert_unbiased(sample, as_vector(exact_gradient(which)), resolution=0.15)


def test_float32():
    which = problem("trained")
    like = torch.zeros(1)
    z, q = torch.zeros(2, 31), which.build({"loc": torch.zeros(31), "scale": torch.ones(31)})
    value = which.function(like)(z, q)
    assert value.dtype == torch.float32
    assert torch.allclose(value.double(), which.function(like.double())(z.double(), q).double(), rtol=1e-5)


def test_other_sizes_and_families_do_not_fit():
    target = objectives.get("logistic_regression")
    assert "31" in (target.fits(distributions.get("normal", size=5)) or "")
    assert target.fits(distributions.get("bernoulli", size=31)) is not None
