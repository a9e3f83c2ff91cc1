"""Quadratic control variates of pathwise gradients: unbiased, and silent on quadratics."""

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators import Evidence, Function
from estimators.pathwise_control import QuadraticPathwise, TaylorPathwise
from tests.support.cases import CASES, build_full_normal, build_normal, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates
from tests.support.identities import variance_agrees

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
    assert_unbiased(enough(estimator, *CASES[case], 2, 50_000), exact(case), resolution=0.02)


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


def quadratic_evidence(size):
    """log p is a dense concave quadratic with a linear part in so many dimensions."""
    draw = torch.Generator().manual_seed(size)
    half, shift = (torch.randn(shape, dtype=torch.float64, generator=draw) for shape in ((size, size), (size,)))
    curvature = half @ half.mT + torch.eye(size, dtype=torch.float64)
    return Evidence(lambda z: z @ shift - torch.einsum("...i,ij,...j->...", z, curvature, z) / 2), curvature, shift


def gaussian(family, size):
    draw = torch.Generator().manual_seed(100 + size)
    loc = torch.randn(size, dtype=torch.float64, generator=draw)
    if family == "normal":
        return build_normal, {"loc": loc, "scale": torch.linspace(0.3, 2.0, size, dtype=torch.float64)}
    tril = 0.4 * torch.randn(size, size, dtype=torch.float64, generator=draw)
    return build_full_normal, {"loc": loc, "scale_tril": tril.tril(-1) + torch.linspace(0.5, 1.5, size).double().diag()}


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("family", ["normal", "full_normal"])
@pytest.mark.parametrize("name", ["taylor", "quadratic", "delta_method"])
def test_silent_on_an_evidence_whose_log_joint_is_quadratic(name, family, size):
    """And right: ∂μ = b − Aμ, ∂σ = 1/σ − diag(A) σ; of a Cholesky factor L the lower half of L⁻ᵀ − A L."""
    f, curvature, shift = quadratic_evidence(size)
    build, parameters = gaussian(family, size)
    case = (build, parameters, f)
    sample = estimates(estimators.get(name) if name == "delta_method" else made(name, case), *case, 1, 200)
    assert sample.var(0).max() < 1e-16 * sample.square().max()
    of_loc = shift - curvature @ parameters["loc"]
    if family == "normal":
        of_scale = 1 / parameters["scale"] - curvature.diag() * parameters["scale"]
    else:
        of_scale = (parameters["scale_tril"].inverse().mT - curvature @ parameters["scale_tril"]).tril().flatten()
    torch.testing.assert_close(sample.mean(0), torch.cat([of_loc, of_scale]))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_entropy_of_an_evidence_adds_no_noise(scale):
    """q = N(0.7, s²), p = N(0, 1): a model of −log q too left a variance of 4.02 in loc at s = ½, s² without model."""
    case = (build_normal, {"loc": double(0.7), "scale": double(scale)}, Evidence(lambda z: -z.square().sum(-1) / 2))
    assert estimates(TaylorPathwise(), *case, 1, 1000).var(0).max() < 1e-20
    variance_agrees(estimates(PATHWISE, *case, 1, 100_000)[:, 0], scale**2)


@pytest.mark.parametrize("case", ["evidence_of_normal"])
@pytest.mark.parametrize("name", ["taylor", "quadratic"])
def test_an_evidence_is_its_log_joint_with_the_entropy_in_closed_form(name, case):
    """Draw by draw: the gradient of E log p by the same control variate, plus that of Σ log σ."""
    build, parameters, f = CASES[case]
    assert isinstance(f, Evidence)
    without = (build, parameters, Function(f.log_joint))
    sample, of_joint = (estimates(made(name, each), *each, 2, 50) for each in ((build, parameters, f), without))
    entropy = torch.cat([torch.zeros_like(parameters["loc"]), 1 / parameters["scale"]])
    torch.testing.assert_close(sample, of_joint + entropy)


@pytest.mark.slow
def test_variances_of_the_logistic_regression_where_it_was_trained():
    """Miller's estimator with an analytic divergence has 6.04 in loc and 1.57 in log-scale at 32 draws (16.4 and 4.51
    with a model of the entropy as well)."""
    problem = Problem(distributions.get("normal", size=31), objectives.get("logistic_regression"), point="trained")
    gradients = Gradients(problem, estimators.get("taylor_pathwise"), 32)
    torch.manual_seed(0)
    loc, log_scale = torch.cat([gradients(50) for _ in range(60)]).var(0).split(31)
    assert 4.5 < loc.sum() < 8
    assert 1.2 < log_scale.sum() < 2


def test_float32_and_a_small_scale():
    sample = enough(TaylorPathwise(), *single(CASES["normal"], torch.float32), 2, 50_000)
    assert_unbiased(sample.double(), exact("normal"), resolution=0.02)
    case = (build_normal, {"loc": double(0.8), "scale": double(0.01)}, Function(lambda z: z.exp().sum(-1)))
    mean = double(0.8 + 0.01**2 / 2).exp()
    assert_unbiased(estimates(TaylorPathwise(), *case, 1, 1000), torch.cat([mean, 0.01 * mean]), resolution=1e-3)


def test_unfitted_is_pathwise():
    sample = [estimates(e, *CASES["full_normal"], 2, 10, seed=5) for e in (QuadraticPathwise(), PATHWISE)]
    torch.testing.assert_close(*sample)


def test_a_model_that_is_wrong_is_still_unbiased():
    """Fitted for one objective, used for another: noisier, and unbiased."""
    estimator = fitted((*CASES["normal"][:2], DENSE))
    sample = enough(estimator, *CASES["normal"], 2, 200_000)
    assert_unbiased(sample, exact("normal"), resolution=0.03)


def test_partial_coefficient_scales_the_variance():
    """On a quadratic what is left is (1 − c)² of the pathwise variance."""
    quadratic = (build_full_normal, CASES["full_normal"][1], DENSE)
    plain = estimates(PATHWISE, *quadratic, 1, 100_000)
    kept = plain.var(0) > 1e-12
    half = estimates(TaylorPathwise(c=0.5), *quadratic, 1, 100_000, seed=3)
    variance_agrees(half[:, kept], plain.var(0)[kept] / 4, 8)
