"""Boundary terms: pathwise gradients of functions that jump, against exact ones."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import estimators
from estimators import Function
from tests.support.cases import CASES, build_normal, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates

ESTIMATOR = estimators.get("boundary_pathwise")
PARAMETERS = {"loc": double(0.5, -0.3), "scale": double(1.2, 0.8)}
BOX = Function(lambda z: ((z > -0.4) & (z < 0.9)).to(z).prod(-1) + z[..., 0], differentiable=False, breaks=(-0.4, 0.9))
STANDARD = Normal(double(0.0).squeeze(), 1.0)


def truth() -> torch.Tensor:
    def expectation(values):
        inside = STANDARD.cdf((0.9 - values["loc"]) / values["scale"])
        outside = STANDARD.cdf((-0.4 - values["loc"]) / values["scale"])
        return (inside - outside).prod() + values["loc"][0]

    return torch.cat(list(torch.func.grad(expectation)(PARAMETERS).values()))


def test_unbiased_where_pathwise_is_not():
    sample = enough(ESTIMATOR, build_normal, PARAMETERS, BOX, 2, 50_000)
    assert_unbiased(sample, truth(), resolution=0.02)
    plain = estimates(estimators.get("reparameterisation"), build_normal, PARAMETERS, BOX, 2, 1000)
    assert_biased(plain[:, :1] + 1e-9 * torch.randn(1000, 1), truth()[:1])


def test_float32():
    sample = enough(ESTIMATOR, *single((build_normal, PARAMETERS, BOX), torch.float32), 2, 50_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), truth(), resolution=0.02)


@pytest.mark.parametrize("case", ["normal", "evidence_of_normal"])
def test_without_breaks_it_is_pathwise(case):
    assert_unbiased(enough(ESTIMATOR, *CASES[case], 4, 50_000), exact(case), resolution=0.03)
    sample = [estimates(e, *CASES[case], 2, 10) for e in (ESTIMATOR, estimators.get("reparameterisation"))]
    torch.testing.assert_close(*sample)


def test_a_kink_may_be_declared_too():
    f = Function(lambda z: z.abs().sum(-1), breaks=(0.0,))
    sample = estimates(ESTIMATOR, build_normal, {"loc": double(0.3), "scale": double(0.01)}, f, 1, 1000)
    assert_unbiased(sample[:, :1], double(1.0), resolution=0.01)


def test_digital_option():
    """Fact 35: the digital delta .0187620 under Black-Scholes, without variance."""
    S, r, sigma, T, K = 100.0, 0.05, 0.2, 1.0, 100.0

    def log_price(spot):
        return Normal(spot.log() + (r - sigma**2 / 2) * T, sigma * T**0.5)

    breaks = (math.log(K),)
    digital = Function(lambda x: math.exp(-r * T) * (x > breaks[0]).to(x), differentiable=False, breaks=breaks)
    sample = estimates(ESTIMATOR, log_price, {"spot": double(S)}, digital, 1, 10)
    torch.testing.assert_close(sample, torch.full_like(sample, 0.0187620), atol=1e-7, rtol=0)


def test_refused_without_declared_breaks():
    step = Function(lambda z: (z > 0).to(z), differentiable=False)
    assert "declared breaks" in str(estimators.unmet(ESTIMATOR, Normal(0.0, 1.0), step, 1))


HYPERPLANE = (double(1.0, -0.7), 0.4)


def half_space(z):
    w, c = HYPERPLANE
    w = w.to(z)
    return (z @ w > c).to(z) * (1 + z[..., 0] + 0.5 * z[..., 1].square()) + z.square().sum(-1)


def half_space_truth(smooth=half_space) -> torch.Tensor:
    """∇ E f by autograd through the density, on a grid in the plane's own coordinates: S = w·z, then z given S."""
    w, c = HYPERPLANE
    x, weight = (torch.tensor(each) for each in np.polynomial.legendre.leggauss(400))
    parameters = {name: value.clone() for name, value in PARAMETERS.items()}
    normal_of = w * PARAMETERS["scale"].square()
    wide = (w * normal_of).sum().sqrt()
    middle = (w * PARAMETERS["loc"]).sum()
    pieces = [(c, middle + 12 * wide), (middle - 12 * wide, c)]
    s = torch.cat([(b - a) / 2 * x + (a + b) / 2 for a, b in pieces])
    ws = torch.cat([(b - a) / 2 * weight for a, b in pieces])
    t, wt = 12 * x, 12 * weight
    across = torch.stack([-w[1], w[0]]) / w.norm()  # z = s w/‖w‖² + t across: a rotation, Jacobian 1/‖w‖
    z = s[:, None, None] * w / w.square().sum() + t[None, :, None] * across
    measure = ws[:, None] * wt[None, :] / w.norm()

    def expectation(values):
        return (measure * build_normal(**values).log_prob(z).exp() * smooth(z)).sum()

    return torch.cat(list(torch.func.grad(expectation)(parameters).values()))


def test_half_space():
    f = Function(half_space, differentiable=False, half_space=HYPERPLANE)
    assert_unbiased(estimates(ESTIMATOR, build_normal, PARAMETERS, f, 2, 100_000), half_space_truth(), resolution=0.01)
    plain = estimates(estimators.get("reparameterisation"), build_normal, PARAMETERS, f, 2, 100_000)
    assert_biased(plain, half_space_truth())


def test_half_space_in_float32():
    case = single(
        (build_normal, PARAMETERS, Function(half_space, differentiable=False, half_space=HYPERPLANE)), torch.float32
    )
    assert_unbiased(estimates(ESTIMATOR, *case, 2, 100_000).double(), half_space_truth(), resolution=0.01)


def test_half_space_far_away_and_narrow():
    """σ = 0.01: P(w·z > c) by its closed form, the plane two standard deviations off, without variance in μ."""
    w, c = HYPERPLANE
    scale = double(0.01, 0.01)
    loc = double(0.4, 0.0) - 2 * 0.01 * w / w.norm()
    f = Function(lambda z: (z @ w > c).to(z), differentiable=False, half_space=HYPERPLANE)

    def probability(values):
        distance = (w * values["loc"]).sum() - c
        return STANDARD.cdf(distance / (w * values["scale"]).norm())

    truth = torch.cat(list(torch.func.grad(probability)({"loc": loc, "scale": scale}).values()))
    sample = estimates(ESTIMATOR, build_normal, {"loc": loc, "scale": scale}, f, 2, 50_000)
    assert_unbiased(sample, truth, resolution=0.02)
    assert sample[:, :2].std(0).max() < 1e-9 * truth.norm()
