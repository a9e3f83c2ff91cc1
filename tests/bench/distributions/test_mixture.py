"""The mixture's assignments: the means integrated out, and estimates against the enumerated gradient."""

import torch
from torch.distributions import MultivariateNormal

import estimators
from bench.data.datasets import iris
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives.mixture import MixtureAssignments
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from tests.support.exactness import assert_unbiased

MIXTURE = MixtureAssignments()


def problem():
    return Problem(distributions.get("categorical", size=5, categories=3), MIXTURE)


def test_the_means_are_integrated_out():
    """Given z, each dimension of a component's flowers is Normal with covariance σ² I + τ² 11ᵀ."""
    x, z = iris(5), torch.eye(3).double()[[0, 1, 1, 0, 1]]
    total = -5 * torch.log(torch.tensor(3.0).double())
    for members in ([0, 3], [1, 2, 4]):
        n = len(members)
        covariance = (0.25 * torch.eye(n) + 1.5**2 * torch.ones(n, n)).double()
        total += MultivariateNormal(torch.zeros(n).double(), covariance).log_prob(x[members].T).sum()
    assert torch.isclose(MIXTURE.log_joint(z, x), total, rtol=1e-12)


def test_estimates_agree_with_the_enumeration():
    torch.manual_seed(0)
    exact = reference(problem())
    assert exact is not None
    assert exact.method == "enumeration"
    assert max(float(value.max()) for value in exact.error.values()) < 1e-8
    for estimator in (estimators.get("rloo"), estimators.get("muprop")):
        sample = Gradients(problem(), estimator, samples=8)(20_000)
        assert_unbiased(sample, as_vector(exact.gradient), resolution=0.05)


def test_needs_a_categorical():
    assert MIXTURE.fits(distributions.get("bernoulli")) is not None
