"""The double control variate: unbiased at any fixed α, exact where its Taylor term is, fitted to least variance."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.double_control_variate import DoubleControlVariate
from tests.support.cases import CASES, DISCRETE, EXTREME, LOGITS, bits, double, exact, of_bits, single
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates

BITS = [name for name, case in DISCRETE.items() if case[0] is bits]


def at(alpha):
    return DoubleControlVariate().frozen({"alpha": torch.tensor(alpha, dtype=torch.float64)})


@pytest.mark.parametrize("case", BITS)
@pytest.mark.parametrize("alpha", [-1.0, 0.7])
def test_unbiased_at_any_alpha(alpha, case):
    sample = enough(at(alpha), *CASES[case], 4, 400_000 if case == "extreme_bits" else 100_000)
    assert_unbiased(sample, exact(case))


def test_float32():
    assert_unbiased(enough(at(-1.0), *single(CASES["bits"], torch.float32), 2, 100_000).double(), exact("bits"))


def test_leave_one_out_at_zero():
    torch.testing.assert_close(
        estimates(at(0.0), *CASES["bits"], 3, 50), estimates(estimators.get("rloo"), *CASES["bits"], 3, 50)
    )


def test_no_variance_on_a_linear_f():
    """Fact 18: the multilinear extension of the quadratic of bits, at α = −1."""
    f = Function(lambda b: ((1 - 2 * 0.499) * b + 0.499**2).mean(-1))
    sample = estimates(DoubleControlVariate(), bits, EXTREME, f, 2, 50)
    torch.testing.assert_close(sample, enumerated(bits, EXTREME, f).expand_as(sample), rtol=1e-10, atol=1e-14)


def test_the_fitted_alpha_has_the_least_variance():
    f = Function(of_bits)
    torch.manual_seed(0)
    q = bits(LOGITS["logits"].expand(2000, 3))
    fitted = DoubleControlVariate().fit(q, f, 3, 20)
    assert fitted.state is not None
    best = float(fitted.state["alpha"])

    def variance(alpha):
        return float(estimates(at(alpha), bits, LOGITS, f, 3, 50_000, seed=5).var(0).sum())

    alphas = [best - 0.4, best - 0.1, best, best + 0.1, best + 0.4]
    least = [variance(alpha) for alpha in alphas]
    assert min(least[0], least[4]) > least[2]
    assert least[2] < 1.005 * min(least)
    assert least[2] < variance(0.0)
    assert_unbiased(enough(fitted, bits, LOGITS, f, 3, 100_000), exact("bits"))


def test_a_constant_f_leaves_alpha_alone():
    fitted = DoubleControlVariate().fit(bits(double(0.0, 1.0)), Function(lambda z: 0 * z.sum(-1) + 3), 2, 3)
    assert fitted.state is not None
    assert fitted.state["alpha"] == -1
