"""Discrete Stein operators: zero mean for any h, RODEO unbiased for any learned part, and better once fitted."""

import pytest
import torch

import estimators
from estimators import BadInput
from estimators.stein import WEIGHTS, Rodeo
from estimators.tools.learned import network
from estimators.tools.parameters import support
from tests.support.cases import CASES, DISCRETE, LOGITS, bits, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates

BITS = [name for name, case in DISCRETE.items() if case[0] is bits]


def arbitrary(operator):
    torch.manual_seed(2)
    weights = {name: 0.3 * torch.randn_like(value) for name, value in network(2, double(0.0)).items()}
    weights["bend"].zero_()  # keeps H from growing quadratically, so that the test has power
    return Rodeo(operator=operator).frozen(weights | {"alpha": torch.tensor(0.6), "beta": torch.tensor(0.8)})


@pytest.mark.parametrize("operator", WEIGHTS)
def test_stein_operators_have_zero_mean(operator):
    q = bits(LOGITS["logits"])
    x = support(q)
    h = dict(zip(map(tuple, x.tolist()), torch.randn(8, dtype=torch.float64), strict=True))
    flips = x.unsqueeze(-2) + torch.eye(3, dtype=x.dtype) * (1 - 2 * x.unsqueeze(-2))
    here = torch.stack([h[tuple(row)] for row in x.tolist()])
    there = torch.stack([torch.stack([h[tuple(row)] for row in rows]) for rows in flips.tolist()])
    w = WEIGHTS[operator]((1 - 2 * x) * LOGITS["logits"])
    mean = (q.log_prob(x).exp() * (w * (there - here.unsqueeze(-1))).sum(-1)).sum()
    assert mean.abs() < 1e-14


SLOW = {("mpf", "extreme_bits"), ("mpf", "chain_of_bits")}
"""They take the most draws; each operator and each problem is there without them."""


@pytest.mark.parametrize(
    ("operator", "case"),
    [
        pytest.param(operator, case, marks=[pytest.mark.slow] if (operator, case) in SLOW else [])
        for operator in WEIGHTS
        for case in BITS
    ],
)
def test_unbiased_with_any_network(operator, case):
    many = {("barker", "extreme_bits"): 150_000, ("mpf", "extreme_bits"): 300_000, ("mpf", "chain_of_bits"): 200_000}
    replicates = many.get((operator, case), 40_000)
    assert_unbiased(enough(arbitrary(operator), *CASES[case], 3, replicates), exact(case))


def test_float32():
    sample = enough(arbitrary("barker"), *single(CASES["bits"], torch.float32), 2, 200_000)
    assert_unbiased(sample.double(), exact("bits"))


def test_leave_one_out_before_it_is_fitted():
    plain, rodeo = (estimates(estimators.get(name), *CASES["bits"], 3, 20) for name in ("rloo", "rodeo"))
    torch.testing.assert_close(rodeo, plain)


@pytest.mark.parametrize("operator", WEIGHTS)
def test_fitting_lowers_the_variance_and_keeps_the_mean(operator):
    f = CASES["bits"][2]
    torch.manual_seed(0)
    ready = Rodeo(operator=operator).fit(bits(LOGITS["logits"].expand(200, 3)), f, 3, 100)
    after = enough(ready, *CASES["bits"], 3, 100_000)
    before = estimates(estimators.get("rloo"), *CASES["bits"], 3, 100_000)
    assert_unbiased(after, exact("bits"))
    assert after.var(0).sum() < 0.7 * before.var(0).sum()


def test_an_operator_that_is_not_there():
    with pytest.raises(BadInput, match="barker, mpf"):
        estimators.get("rodeo", operator="gibs")
