"""Generalised and rejection reparameterisation of Gammas, against exact gradients by moments."""

import pytest
import torch
from torch.distributions import Gamma

import estimators
from estimators import BadInput, Function
from estimators.generalised import GeneralisedReparameterisation, RejectionReparameterisation, log_density
from tests.cases import GAMMAS, double, single
from tests.exactness import assert_unbiased, estimates

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
    assert_unbiased(estimates(estimator, BUILD, PARAMETERS, F, 4, 100_000), TRUTH, resolution=0.03)


@pytest.mark.parametrize("estimator", ALL, ids=str)
def test_small_concentration(estimator):
    """α = 0.1, where the sampler needs its boost."""
    parameters = {"concentration": double(0.1), "rate": double(1.0)}
    sample = estimates(estimator, BUILD, parameters, Function(lambda z: z.sum(-1)), 4, 200_000)
    assert_unbiased(sample, double(1.0, -0.1), resolution=0.05)


@pytest.mark.parametrize("estimator", ALL[:2], ids=str)
def test_float32(estimator):
    sample = estimates(estimator, *single((BUILD, PARAMETERS, F), torch.float32), 4, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), TRUTH, resolution=0.03)


def test_less_variance_than_the_score_function():
    variances = [
        estimates(e, BUILD, PARAMETERS, F, 2, 100_000).var(0).sum() for e in (*ALL, estimators.get("reinforce"))
    ]
    assert max(variances[:3]) < variances[3]
    assert variances[2] < variances[1]  # more boosts, less left to the score


def test_log_density():
    x = double(0.3, 1.7)
    a, b = PARAMETERS["concentration"], PARAMETERS["rate"]
    torch.testing.assert_close(log_density(x.log(), a, b), Gamma(a, b).log_prob(x))


def test_bad_boosts():
    with pytest.raises(BadInput, match="boosts"):
        estimators.get("rejection_reparameterisation", boosts=0)
