"""Sticking the landing: unbiased, silent at the posterior, and worse than the total derivative where theory says."""

import pytest
import torch
from torch.distributions import Normal

import estimators
from estimators import Evidence
from tests.support.cases import CASES, build_full_normal, build_normal, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

ESTIMATOR = estimators.get("sticking_the_landing")
STANDARD = Evidence(lambda z: Normal(0.0, 1.0).log_prob(z).sum(-1))


def test_unbiased():
    assert_unbiased(enough(ESTIMATOR, *CASES["evidence_of_normal"], 4, 100_000), exact("evidence_of_normal"))
    sample = enough(ESTIMATOR, *single(CASES["evidence_of_normal"], torch.float32), 4, 100_000)
    assert_unbiased(sample.double(), exact("evidence_of_normal"))


def test_unbiased_with_full_covariance():
    tril = torch.stack([double(0.7, 0.0), double(-0.4, 0.9)])
    sample = estimates(
        ESTIMATOR, build_full_normal, {"loc": double(0.6, -0.8), "scale_tril": tril}, STANDARD, 2, 200_000
    )
    truth = torch.cat([double(-0.6, 0.8), (torch.diag(1 / tril.diagonal()) - tril).flatten()])
    lower = torch.tensor([True, True, True, False, True, True])  # the entry above the diagonal is no parameter
    assert_unbiased(sample[:, lower], truth[lower])


@pytest.mark.parametrize(("m", "s"), [(0.5, 0.5), (0.5, 0.9), (0.0, 1.5), (0.3, 0.01)])
def test_variance_against_the_total_derivative(m, s):
    """Fact 31, with p = N(0, 1): (1/s−s)² against s² in m, m²+2(1/s−s)² against m²+2s² in s."""
    case = (build_normal, {"loc": double(m), "scale": double(s)}, STANDARD)
    variance_agrees(estimates(ESTIMATOR, *case, 1, 200_000), double((1 / s - s) ** 2, m**2 + 2 * (1 / s - s) ** 2))
    total = estimates(estimators.get("reparameterisation"), *case, 1, 200_000)
    variance_agrees(total, double(s**2, m**2 + 2 * s**2))


def test_silent_at_the_posterior():
    case = (build_normal, {"loc": double(0.0), "scale": double(1.0)}, STANDARD)
    assert estimates(ESTIMATOR, *case, 1, 100).abs().max() < 1e-12


def test_backward_and_value():
    backward_agrees(ESTIMATOR, CASES["evidence_of_normal"], 3)
    m, s = 0.5, 0.8
    bound = -0.5 * (m * m + s * s - 1) + float(torch.tensor(s).log())
    value_is_plain(ESTIMATOR, (build_normal, {"loc": double(m), "scale": double(s)}, STANDARD), 2, bound)
    build, parameters, f = CASES["normal"]
    assert "evidence" in str(estimators.unmet(ESTIMATOR, build(**parameters), f, 1))
