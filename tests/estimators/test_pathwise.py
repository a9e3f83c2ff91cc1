"""Pathwise gradients, explicit and implicit, where they are right and where they are not."""

import math

import pytest
import torch
from torch.distributions import Exponential, Gamma, Normal, Uniform

import estimators
from estimators import Function
from tests.support.cases import CASES, build_normal, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

ESTIMATOR = estimators.get("reparameterisation")
SQUARE = Function(lambda z: z.square().sum(-1))


@pytest.mark.parametrize("case", ["normal", "evidence_of_normal", "full_normal"])
def test_unbiased(case):
    assert_unbiased(enough(ESTIMATOR, *CASES[case], 4, 100_000), exact(case), resolution=0.02)


def test_float32_and_a_small_scale():
    sample = enough(ESTIMATOR, *single(CASES["normal"], torch.float32), 4, 100_000)
    assert_unbiased(sample.double(), exact("normal"), resolution=0.02)
    parameters = {"loc": double(0.8), "scale": double(0.01)}
    assert_unbiased(enough(ESTIMATOR, build_normal, parameters, SQUARE, 1, 100_000), double(1.6, 0.02))


@pytest.mark.parametrize("D", [1, 10])
def test_variance_on_a_quadratic(D):
    """Facts 23 and 27: Var 4s² in μ and 4a² + 8s² in s, per coordinate, at any dimension."""
    a, s = 0.8, 0.6
    parameters = {"loc": double(a).expand(D), "scale": double(s).expand(D)}
    sample = estimates(ESTIMATOR, build_normal, parameters, SQUARE, 1, 100_000)
    variance_agrees(sample, torch.cat([double(4 * s * s).expand(D), double(4 * a * a + 8 * s * s).expand(D)]))


def test_cosine():
    """Fact 26: Var k²(1 − e^{−2k²s²} cos 2kμ)/2 − g² in μ."""
    k, mu, s = 3.0, 0.4, 0.5
    f = Function(lambda z: (k * z).cos().sum(-1))
    sample = estimates(ESTIMATOR, build_normal, {"loc": double(mu), "scale": double(s)}, f, 1, 400_000)
    g = -k * math.exp(-k * k * s * s / 2) * math.sin(k * mu)
    variance = k * k * (1 - math.exp(-2 * k * k * s * s) * math.cos(2 * k * mu)) / 2 - g * g
    assert_unbiased(sample[:, :1], double(g))
    variance_agrees(sample[:, :1], variance)


def test_a_step_has_no_pathwise_gradient():
    """Fact 35: d/dμ of 1{x > 0} under N(.5, 1) is .352065; the pathwise gradient is 0, and so declared unfit."""
    step = Function(lambda z: (z > 0).to(z) + 0 * z, differentiable=False)
    sample = estimates(ESTIMATOR, Normal, {"loc": double(0.5), "scale": double(1.0)}, step, 1, 100)
    assert torch.all(sample == 0)
    assert "differentiable" in str(estimators.unmet(ESTIMATOR, Normal(0.5, 1.0), step, 1))


def test_options():
    """Fact 34: Black-Scholes delta .636831 and vega 37.524035, and their variances; fact 35's digital delta."""
    S, r, sigma, T, K = 100.0, 0.05, 0.2, 1.0, 100.0

    def log_price(spot, volatility):
        return Normal(spot.log() + (r - volatility**2 / 2) * T, volatility * T**0.5)

    parameters = {"spot": double(S), "volatility": double(sigma)}
    call = Function(lambda x: math.exp(-r * T) * (x.exp() - K).relu())
    sample = estimates(ESTIMATOR, log_price, parameters, call, 1, 400_000)
    assert_unbiased(sample, double(0.636831, 37.524035), resolution=0.02)
    variance_agrees(sample, double(0.332215, 5729.331))
    digital = Function(lambda x: math.exp(-r * T) * (x.exp() > K).to(x) + 0 * x)
    assert torch.all(estimates(ESTIMATOR, log_price, parameters, digital, 1, 10) == 0)


def test_uniform_and_exponential():
    """Facts 36 and 37: Var 1/12 where the score estimator is wrong, and 1/r⁴."""
    plain = Function(lambda z: z)
    sample = estimates(ESTIMATOR, lambda high: Uniform(0 * high, high), {"high": double(2.0)}, plain, 1, 200_000)
    assert_unbiased(sample, double(0.5))
    variance_agrees(sample, 1 / 12)
    sample = estimates(ESTIMATOR, Exponential, {"rate": double(1.7)}, plain, 1, 200_000)
    assert_unbiased(sample, double(-1 / 1.7**2))
    variance_agrees(sample, 1 / 1.7**4)


def test_implicit_gamma():
    """E z² = α(α+1)/β²; torch's kernel is approximate, by less than 5e-4 of the gradient (fact 39)."""
    a, b = double(2.5), double(1.3)
    case = (Gamma, {"concentration": a, "rate": b}, Function(torch.square))
    sample = enough(ESTIMATOR, *case, 10, 100_000)
    assert_unbiased(sample, torch.cat([(2 * a + 1) / b**2, -2 * a * (a + 1) / b**3]), resolution=0.02)


def test_backward_and_value():
    for case in ("normal", "evidence_of_normal", "full_normal"):
        backward_agrees(ESTIMATOR, CASES[case], 3)
    value_is_plain(ESTIMATOR, (build_normal, {"loc": double(0.8), "scale": double(0.6)}, SQUARE), 2, 1.0)


def test_kink_is_fine_and_jump_is_not():
    parameters = {"loc": double(0.3), "scale": double(1.0)}
    truth = 2 * Normal(0.0, 1.0).cdf(torch.tensor(0.3, dtype=torch.float64)) - 1
    kink = estimates(ESTIMATOR, build_normal, parameters, Function(lambda z: z.abs().sum(-1)), 1, 400_000)
    assert_unbiased(kink[:, :1], truth[None])
    jump = estimates(ESTIMATOR, build_normal, parameters, Function(lambda z: (z + (z > 0)).sum(-1)), 1, 10_000)
    density = Normal(0.0, 1.0).log_prob(torch.tensor(0.3, dtype=torch.float64)).exp()
    assert torch.all(jump[:, 0] == 1)
    assert_biased(jump[:, 1:], (-0.3 * density)[None])
