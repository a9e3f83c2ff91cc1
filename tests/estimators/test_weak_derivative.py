"""Weak derivatives against exact gradients, and where theory says they are silent."""

import pytest
import torch
from torch.distributions import Exponential, Gamma, Independent, Poisson

import estimators
from estimators import Function
from tests.support.cases import CASES, double, exact, single
from tests.support.counts import COUNTS, F, exponential, poisson, summed
from tests.support.exactness import assert_unbiased, enough, estimates
from tests.support.identities import variance_agrees

ESTIMATOR = estimators.get("weak_derivative")


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "evidence_of_bits"])
def test_unbiased_on_bits(case):
    assert_unbiased(enough(ESTIMATOR, *CASES[case], 2, 50_000), exact(case), resolution=0.02)


@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_unbiased_on_counts(name):
    assert_unbiased(enough(ESTIMATOR, *COUNTS[name], F, 2, 50_000), summed(name), resolution=0.02)


def test_unbiased_on_exponentials():
    """E of (x₁ + x₂ − a)² + x₁x₂ by moments; and a step, P(x₁ > 1) = e^{−r}."""
    rate, a = double(1.3, 0.6), 2.3
    f = Function(lambda z: (z.sum(-1) - a).square() + z[..., 0] * z[..., 1])

    def expectation(r):
        return (2 / r**2).sum() + 3 / r.prod() - 2 * a * (1 / r).sum() + a * a

    sample = enough(ESTIMATOR, exponential, {"rate": rate}, f, 2, 100_000)
    assert_unbiased(sample, torch.func.grad(expectation)(rate), resolution=0.03)
    step = Function(lambda z: (z > 1).to(z), differentiable=False)
    sample = enough(ESTIMATOR, Exponential, {"rate": double(1.3)}, step, 2, 100_000)
    assert_unbiased(sample, -double(-1.3).exp(), resolution=0.02)


class RateGamma(Gamma):
    """Its rate alone is learned."""

    learns = ("rate",)


def rate_gamma(rate):
    concentration = torch.linspace(0.3, 2.5, rate.shape[-1], dtype=rate.dtype).expand_as(rate)
    return Independent(RateGamma(concentration, rate, validate_args=False), 1)


def test_unbiased_on_the_rate_of_gammas():
    """α = 0.3 and 2.5: (x₁ + x₂ − a)² + x₁x₂ by moments; P(x > 1), by the score's own integral of the density."""
    rate, a, alpha = double(1.3, 0.6), 2.3, double(0.3, 2.5)
    f = Function(lambda z: (z.sum(-1) - a).square() + z[..., 0] * z[..., 1])

    def expectation(r):
        mean, second = alpha / r, alpha * (alpha + 1) / r**2
        return second.sum() + 3 * mean.prod() - 2 * a * mean.sum() + a * a

    sample = enough(ESTIMATOR, rate_gamma, {"rate": rate}, f, 2, 100_000)
    assert_unbiased(sample, torch.func.grad(expectation)(rate), resolution=0.03)
    step = Function(lambda z: (z > 1).to(z).sum(-1), differentiable=False)
    truth = -torch.exp(torch.special.xlogy(alpha - 1, rate) - rate - alpha.lgamma())  # −(density of βx at β)
    sample = enough(ESTIMATOR, rate_gamma, {"rate": rate}, step, 2, 100_000)
    assert_unbiased(sample, truth, resolution=0.02)


def test_a_gamma_that_learns_both_is_refused():
    q = Gamma(double(2.0), double(1.0))
    assert "Gammas whose rate alone is learned" in str(estimators.unmet(ESTIMATOR, q, F, 1))


def test_float32():
    case = single((poisson, COUNTS["poisson"][1], F), torch.float32)
    sample = enough(ESTIMATOR, *case, 2, 50_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), summed("poisson"), resolution=0.02)


def test_variance_on_a_linear_function():
    """Fact 37: none for Poisson, where the score has λ + 4 + 1/λ."""
    case = (Poisson, {"rate": double(1.7)}, Function(lambda z: z))
    assert estimates(ESTIMATOR, *case, 1, 100).var() == 0
    variance_agrees(estimates(estimators.get("reinforce"), *case, 1, 200_000), 1.7 + 4 + 1 / 1.7, 6)


def test_bits_have_no_variance_when_separable():
    f = Function(lambda z: (z - 0.45).square().sum(-1))
    sample = estimates(ESTIMATOR, *CASES["bits"][:2], f, 1, 50)
    assert sample.var(0).max() < 1e-25
