"""Generalised and rejection reparameterisation of Gammas, against exact gradients by moments."""

import pytest
import torch
from torch.distributions import Beta, Dirichlet, Gamma, Independent

import estimators
from estimators import BadInput, Function
from estimators.generalised import GeneralisedReparameterisation, RejectionReparameterisation, log_gamma_density
from tests.support.cases import GAMMAS, double, single
from tests.support.exactness import assert_unbiased, enough, estimates

ALL = [GeneralisedReparameterisation(), RejectionReparameterisation(), RejectionReparameterisation(boosts=4)]
BUILD, PARAMETERS, F = GAMMAS["gamma"]


def moments(values):
    """E of (x₁ + x₂ − a)² + x₁x₂."""
    a, b = values["concentration"], values["rate"]
    m, square = a / b, a * (a + 1) / b**2
    return square.sum() + 3 * m.prod() - 1.6 * m.sum() + 0.64


TRUTH = torch.cat(list(torch.func.grad(moments)(PARAMETERS).values()))


@pytest.mark.parametrize("estimator", ALL, ids=str)
def test_unbiased(estimator):
    assert_unbiased(enough(estimator, BUILD, PARAMETERS, F, 4, 100_000), TRUTH, resolution=0.03)


@pytest.mark.parametrize("estimator", ALL, ids=str)
def test_small_concentration(estimator):
    """α = 0.1, where the sampler needs its boost."""
    parameters = {"concentration": double(0.1), "rate": double(1.0)}
    sample = enough(estimator, BUILD, parameters, Function(lambda z: z.sum(-1)), 4, 200_000)
    assert_unbiased(sample, double(1.0, -0.1), resolution=0.05)


@pytest.mark.parametrize("estimator", ALL[:2], ids=str)
def test_float32(estimator):
    sample = enough(estimator, *single((BUILD, PARAMETERS, F), torch.float32), 4, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), TRUTH, resolution=0.03)


def test_less_variance_than_the_score_function():
    variances = [
        estimates(e, BUILD, PARAMETERS, F, 2, 100_000).var(0).sum() for e in (*ALL, estimators.get("reinforce"))
    ]
    assert max(variances[:3]) < variances[3]
    assert variances[2] < variances[1]  # more boosts, less left to the score


def test_log_gamma_density():
    x = double(0.3, 1.7)
    a, b = PARAMETERS["concentration"], PARAMETERS["rate"]
    torch.testing.assert_close(log_gamma_density(x.log(), a), Gamma(a, torch.ones_like(b)).log_prob(x))


SHARES = double(1.5, 0.4, 2.2)
WEIGHT = double(1.0, 3.0, -2.0)


@pytest.mark.parametrize("estimator", ALL[:2], ids=str)
def test_dirichlet(estimator):
    """E Σ w_i z_i² = Σ w_i α_i(α_i + 1)/(α₀(α₀ + 1))."""

    def truth(alpha):
        return (WEIGHT * alpha * (alpha + 1)).sum() / (alpha.sum() * (alpha.sum() + 1))

    def build(concentration):
        return Dirichlet(concentration, validate_args=False)

    f = Function(lambda z: (WEIGHT * z.square()).sum(-1))
    sample = enough(estimator, build, {"concentration": SHARES}, f, 4, 50_000)
    assert_unbiased(sample, torch.func.grad(truth)(SHARES), resolution=0.03)


@pytest.mark.parametrize("estimator", ALL[:2], ids=str)
def test_beta(estimator):
    """E z₁²z₂ of two Betas, a product of their moments."""
    parameters = {"concentration1": double(0.5, 2.0), "concentration0": double(1.3, 0.8)}

    def truth(values):
        a, b = values["concentration1"], values["concentration0"]
        m = a / (a + b)
        return m[0] * (a[0] + 1) / (a[0] + b[0] + 1) * m[1]

    def build(concentration1, concentration0):
        return Independent(Beta(concentration1, concentration0, validate_args=False), 1)

    f = Function(lambda z: z[..., 0].square() * z[..., 1])
    exact = torch.cat(list(torch.func.grad(truth)(parameters).values()))
    assert_unbiased(enough(estimator, build, parameters, f, 4, 50_000), exact, resolution=0.03)


def test_bad_boosts():
    with pytest.raises(BadInput, match="boosts"):
        estimators.get("rejection_reparameterisation", boosts=0)
