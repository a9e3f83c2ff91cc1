"""Measure-valued gradients of Gaussians against exact ones, smooth f and jumps, and their variances."""

import math

import pytest
import torch
from torch.distributions import Normal

import estimators
from estimators import Function
from tests.support.cases import CASES, build_normal, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

SQUARE = Function(lambda z: z.square().sum(-1))
STEP = Function(lambda z: (z > 0).to(z).prod(-1), differentiable=False)


@pytest.mark.parametrize("case", ["normal", "evidence_of_normal"])
@pytest.mark.parametrize("coupled", [True, False])
def test_unbiased(case, coupled):
    sample = enough(estimators.get("measure_valued", coupled=coupled), *CASES[case], 2, 100_000)
    assert_unbiased(sample, exact(case), resolution=0.03)


def test_float32_and_a_small_scale():
    estimator = estimators.get("measure_valued")
    sample = enough(estimator, *single(CASES["normal"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), exact("normal"), resolution=0.03)
    parameters = {"loc": double(0.8), "scale": double(0.01)}
    sample = enough(estimator, build_normal, parameters, SQUARE, 1, 400_000)
    assert_unbiased(sample, double(1.6, 0.02))


def test_unbiased_on_a_jump():
    """Both coordinates above 0: Φ(μ₁/σ₁) Φ(μ₂/σ₂)."""
    loc, scale = double(0.5, -0.3), double(1.2, 0.8)

    def probability(values):
        return Normal(0.0, 1.0).cdf(values["loc"] / values["scale"]).prod()

    truth = torch.func.grad(probability)({"loc": loc, "scale": scale})
    sample = enough(estimators.get("measure_valued"), build_normal, {"loc": loc, "scale": scale}, STEP, 2, 100_000)
    assert_unbiased(sample, torch.cat([truth["loc"], truth["scale"]]), resolution=0.02)


@pytest.mark.parametrize("a", [0.0, 0.8, 1.4])
def test_variance_on_a_quadratic(a):
    """Fact 24: a²(16/π−4) in μ (none at a = 0) and 4a²+4s² in s; in μ uncoupled [4a²(2−π/2)+4s²]/π."""
    s = 0.6
    case = (build_normal, {"loc": double(a), "scale": double(s)}, SQUARE)
    sample = estimates(estimators.get("measure_valued"), *case, 1, 400_000)
    variance_agrees(sample[:, 1:], 4 * a * a + 4 * s * s)
    if a:
        variance_agrees(sample[:, :1], a * a * (16 / math.pi - 4))
    else:
        assert sample[:, 0].var() < 1e-24
    sample = estimates(estimators.get("measure_valued", coupled=False), *case, 1, 400_000)
    variance_agrees(sample[:, :1], (4 * a * a * (2 - math.pi / 2) + 4 * s * s) / math.pi)


def test_shapes_backward_and_value():
    estimator = estimators.get("measure_valued")
    backward_agrees(estimator, CASES["normal"], 3)
    value_is_plain(estimator, (build_normal, {"loc": double(0.8), "scale": double(0.6)}, SQUARE), 2, 1.0)
    scalar = estimator.surrogate(Normal(torch.zeros(4), 1.0), Function(torch.square), 3)
    assert scalar.shape == (4,)
    matrix = torch.distributions.Independent(Normal(torch.zeros(4, 2, 3), 1.0), 2)
    assert estimator.surrogate(matrix, Function(lambda z: z.sum((-1, -2))), 3).shape == (4,)
