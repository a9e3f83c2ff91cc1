"""DiCE: the first and the second derivative against enumeration."""

import pytest
import torch

import estimators
from estimators.tools.parameters import support
from tests.support.cases import CASES, DISCRETE, LOGITS, bits, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates


@pytest.mark.parametrize("case", CASES)
def test_unbiased(case):
    sample = enough(estimators.get("dice"), *CASES[case], 2, 600_000 if case == "extreme_bits" else 150_000)
    assert_unbiased(sample, exact(case))


def test_float32():
    sample = enough(estimators.get("dice"), *single(CASES["bits"], torch.float32), 4, 200_000)
    assert_unbiased(sample.double(), exact("bits"))


def test_first_derivative_is_reinforce():
    plain, dice = (estimates(estimators.get(name), *CASES["bits"], 3, 20) for name in ("reinforce", "dice"))
    torch.testing.assert_close(dice, plain)


@pytest.mark.parametrize("case", ["bits", "evidence_of_bits"])
def test_second_derivative_is_unbiased(case):
    f = CASES[case][2]
    assert case in DISCRETE

    def expectation(logits):
        q = bits(logits)
        z = support(q)
        return (q.log_prob(z).exp() * f(z, q)).sum()

    truth = torch.func.hessian(expectation)(LOGITS["logits"]).flatten()
    logits = LOGITS["logits"].expand(200_000, 3).clone().requires_grad_()
    torch.manual_seed(0)
    (slope,) = torch.autograd.grad(
        estimators.get("dice").surrogate(bits(logits), f, 2).sum(), logits, create_graph=True
    )
    rows = [torch.autograd.grad(slope[:, i].sum(), logits, retain_graph=True)[0] for i in range(3)]
    assert_unbiased(torch.cat(rows, 1), truth)
