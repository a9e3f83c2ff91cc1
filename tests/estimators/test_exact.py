"""Exact enumeration against the definition."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent

import estimators
from estimators import Function, unmet
from estimators.tools.parameters import support
from tests.support.cases import CASES, DISCRETE, TWO_HOT, build_one_hot, exact, single
from tests.support.exactness import enumerated, estimates


@pytest.mark.parametrize("case", DISCRETE)
def test_equal_to_enumeration(case):
    sample = estimates(estimators.get("exact"), *CASES[case], 1, 3)
    torch.testing.assert_close(sample, exact(case).expand_as(sample), rtol=1e-12, atol=1e-14)


def test_float32():
    sample = estimates(estimators.get("exact"), *single(CASES["extreme_bits"], torch.float32), 1, 1)
    torch.testing.assert_close(sample.double()[0], exact("extreme_bits"), rtol=1e-4, atol=1e-6)


def test_by_finite_differences():
    f = CASES["one_hot"][2]

    def expectation(logits):
        q = build_one_hot(logits)
        z = support(q)
        return (q.log_prob(z).exp() * f(z, q)).sum()

    h, found = 1e-5, enumerated(build_one_hot, TWO_HOT, f).reshape(2, 3)
    for i in range(2):
        for j in range(3):
            step = torch.zeros(2, 3, dtype=torch.float64)
            step[i, j] = h
            slope = (expectation(TWO_HOT["logits"] + step) - expectation(TWO_HOT["logits"] - step)) / (2 * h)
            assert slope.item() == pytest.approx(found[i, j].item(), abs=1e-8)


def test_three_bits_with_one_shared_logit():
    """Fact 16: −.0450000 at η = 0 and −.00317929 at η = −4."""
    p0 = torch.tensor([0.6, 0.51, 0.48], dtype=torch.float64)
    f = Function(lambda b: (b - p0).square().sum(-1))
    for eta, expected in [(0.0, -0.0450000), (-4.0, -0.00317929)]:
        logit = torch.tensor(eta, dtype=torch.float64, requires_grad=True)
        q = Independent(Bernoulli(logits=logit.expand(3)), 1)
        (gradient,) = torch.autograd.grad(estimators.get("exact").surrogate(q, f, 1), logit)
        assert gradient.item() == pytest.approx(expected, abs=5e-9)


def test_refused_where_there_is_too_much_to_sum():
    q, f = Independent(Bernoulli(logits=torch.zeros(200)), 1), Function(lambda z: z.sum(-1))
    assert unmet(estimators.get("exact"), q, f, 1) == "needs a support small enough to enumerate"
    assert unmet(estimators.get("exact"), CASES["normal"][0](torch.zeros(2), torch.ones(2)), f, 1) is not None
