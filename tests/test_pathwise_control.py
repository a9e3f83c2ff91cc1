"""Quadratic control variates of pathwise gradients: unbiased, and silent on quadratics."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.pathwise_control import QuadraticPathwise, TaylorPathwise
from tests.cases import CASES, double, exact, full_normal, normal, single
from tests.exactness import assert_unbiased, estimates
from tests.identities import variance_agrees

PATHWISE = estimators.get("reparameterisation")
DENSE = Function(lambda z: torch.einsum("...i,ij,...j->...", z, double(2.0, -1.0, 0.0, 3.0).reshape(2, 2), z))


def fitted(case, steps=20):
    torch.manual_seed(1)
    build, parameters, f = case
    return QuadraticPathwise().fit(build(**parameters), f, 10, steps)


def made(name, case):
    return fitted(case) if name == "quadratic" else TaylorPathwise(c=0.7 if name == "damped" else 1.0)


@pytest.mark.parametrize("case", ["normal", "evidence_of_normal", "full_normal"])
@pytest.mark.parametrize("name", ["taylor", "damped", "quadratic"])
def test_unbiased(name, case):
    estimator = made(name, CASES[case])
    assert_unbiased(estimates(estimator, *CASES[case], 2, 50_000), exact(case), resolution=0.02)


def test_less_variance():
    before = estimates(PATHWISE, *CASES["normal"], 2, 50_000).var(0).sum()
    for name in ("taylor", "quadratic"):
        assert estimates(made(name, CASES["normal"]), *CASES["normal"], 2, 50_000).var(0).sum() < 0.5 * before


@pytest.mark.parametrize("name", ["taylor", "quadratic"])
@pytest.mark.parametrize("case", ["normal", "full_normal"])
def test_silent_on_a_quadratic(name, case):
    """Fact 28: the full Hessian leaves no variance, in μ, σ and the Cholesky factor."""
    quadratic = (*CASES[case][:2], DENSE)
    assert estimates(made(name, quadratic), *quadratic, 1, 1000).var(0).max() < 1e-12


def test_float32_and_a_small_scale():
    sample = estimates(TaylorPathwise(), *single(CASES["normal"], torch.float32), 2, 50_000)
    assert_unbiased(sample.double(), exact("normal"), resolution=0.02)
    case = (normal, {"loc": double(0.8), "scale": double(0.01)}, Function(lambda z: z.exp().sum(-1)))
    mean = double(0.8 + 0.01**2 / 2).exp()
    assert_unbiased(estimates(TaylorPathwise(), *case, 1, 1000), torch.cat([mean, 0.01 * mean]), resolution=1e-3)


def test_unfitted_is_pathwise():
    sample = [estimates(e, *CASES["full_normal"], 2, 10, seed=5) for e in (QuadraticPathwise(), PATHWISE)]
    torch.testing.assert_close(*sample)


def test_a_model_that_is_wrong_is_still_unbiased():
    """Fitted for one objective, used for another: noisier, and unbiased."""
    estimator = fitted((*CASES["normal"][:2], DENSE))
    sample = estimates(estimator, *CASES["normal"], 2, 200_000)
    assert_unbiased(sample, exact("normal"), resolution=0.03)


def test_partial_coefficient_scales_the_variance():
    """On a quadratic what is left is (1 − c)² of the pathwise variance."""
    quadratic = (full_normal, CASES["full_normal"][1], DENSE)
    plain = estimates(PATHWISE, *quadratic, 1, 100_000)
    kept = plain.var(0) > 1e-12
    half = estimates(TaylorPathwise(c=0.5), *quadratic, 1, 100_000, seed=3)
    variance_agrees(half[:, kept], plain.var(0)[kept] / 4, 8)
