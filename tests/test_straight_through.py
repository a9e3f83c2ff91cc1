"""Straight-through: biased, by exactly what theory says."""

import torch

import estimators
from estimators import Function, Need
from estimators.parameters import support
from tests.cases import CASES, bits, double, exact, one_hot, single
from tests.exactness import assert_biased, assert_unbiased, estimates
from tests.identities import backward_agrees, value_is_plain

ESTIMATOR = estimators.get("straight_through")


def expected(case) -> torch.Tensor:
    """Σ_z q(z) J(p) f′(z), the estimator's own mean, with J(p) from autograd of the mean."""
    build, parameters, f = case
    q = build(**parameters)
    z = support(q)
    slope = torch.func.grad(lambda x: f(x, q).sum())(z)
    weight = q.log_prob(z).exp().reshape(-1, *(1 for _ in q.event_shape))
    mean_slope = (weight * slope).sum(0)
    return torch.func.grad(lambda values: (build(**values).mean * mean_slope).sum())(parameters)["logits"].flatten()


def test_mean_is_what_theory_says_and_biased():
    for case in ("bits", "extreme_bits", "one_hot"):
        sample = estimates(ESTIMATOR, *CASES[case], 2, 100_000)
        assert_unbiased(sample, expected(CASES[case]), resolution=0.02)
        assert_biased(sample, exact(case))


def test_bias_on_a_quadratic_bit():
    """Fact 11: p(1−p)(2p−1), so that only at p = ½ there is none."""
    f = Function(lambda b: (b - 0.45).square().sum(-1))
    for logit in (-1.0, 0.0, 2.0):
        p = double(logit).sigmoid()
        truth = p * (1 - p) * 0.1
        sample = estimates(ESTIMATOR, bits, {"logits": double(logit)}, f, 1, 400_000)
        assert_unbiased(sample, truth + p * (1 - p) * (2 * p - 1), resolution=0.05)


def test_exact_on_linear_functions():
    weight = double(1.0, -2.0, 0.5)
    f = Function(lambda z: (z * weight).sum((-1, -2)))
    parameters = CASES["one_hot"][1]
    sample = estimates(ESTIMATOR, one_hot, parameters, f, 1, 3)
    p = parameters["logits"].softmax(-1)
    truth = p * (weight - (p * weight).sum(-1, keepdim=True))
    torch.testing.assert_close(sample, truth.flatten().expand(3, -1))


def test_float32_backward_value_and_evidence():
    sample = estimates(ESTIMATOR, *single(CASES["bits"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), expected(CASES["bits"]), resolution=0.02)
    for case in ("one_hot", "evidence_of_bits"):
        backward_agrees(ESTIMATOR, CASES[case], 3)
    assert_biased(estimates(ESTIMATOR, *CASES["evidence_of_bits"], 2, 100_000), exact("evidence_of_bits"))
    f = Function(lambda b: (b - 0.45).square().sum(-1))
    value_is_plain(ESTIMATOR, (bits, {"logits": double(0.0)}, f), 2, (0.55**2 + 0.45**2) / 2)


def test_refused_on_a_normal():
    assert Need.FINITE in ESTIMATOR.traits.needs
    build, parameters, f = CASES["normal"]
    assert "categorical" in str(estimators.unmet(ESTIMATOR, build(**parameters), f, 1))
