"""MuProp and the delta method: unbiased, exact where their model is, and worse where theory says so."""

import pytest
import torch

import estimators
from estimators import Evidence, Function
from estimators.control_variates import hessian_at
from tests.support.cases import (
    CASES,
    EXTREME,
    FULL,
    GAUSSIAN,
    LOGITS,
    bits,
    build_full_normal,
    build_normal,
    double,
    exact,
    integrated,
    single,
)
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["muprop", "simple_muprop"])
def test_muprop_is_unbiased(name, case):
    sample = enough(estimators.get(name), *CASES[case], 2, 200_000 if case == "extreme_bits" else 60_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", ["normal", "evidence_of_normal", "full_normal"])
def test_delta_method_is_unbiased(case):
    assert_unbiased(enough(estimators.get("delta_method"), *CASES[case], 2, 60_000), exact(case))


def test_delta_method_is_unbiased_on_a_tiny_scale():
    parameters = {"loc": GAUSSIAN["loc"], "scale": double(0.01, 0.02)}
    f = CASES["normal"][2]
    sample = estimates(estimators.get("delta_method"), build_normal, parameters, f, 1, 20_000)
    assert_unbiased(sample, integrated(build_normal, parameters, f), resolution=0.001)


@pytest.mark.parametrize(("name", "case"), [("muprop", "bits"), ("simple_muprop", "bits"), ("delta_method", "normal")])
def test_float32(name, case):
    sample = enough(estimators.get(name), *single(CASES[case], torch.float32), 2, 60_000)
    assert_unbiased(sample.double(), exact(case))


def test_muprop_is_exact_on_a_linear_f():
    f = Function(lambda z: 2 * z[..., 0] - z[..., 2])
    sample = estimates(estimators.get("muprop"), bits, EXTREME, f, 1, 100)
    torch.testing.assert_close(sample, enumerated(bits, EXTREME, f).expand_as(sample))


@pytest.mark.parametrize(("build", "parameters"), [(build_normal, GAUSSIAN), (build_full_normal, FULL)])
def test_delta_method_is_exact_on_a_quadratic_f(build, parameters):
    """Fact 28's kin: a second-order model of a quadratic is the quadratic, cross terms included."""
    f = Function(lambda z: z[..., 0].square() - 3 * z[..., 0] * z[..., 1] + z[..., 1])
    sample = estimates(estimators.get("delta_method"), build, parameters, f, 1, 100)
    torch.testing.assert_close(sample, integrated(build, parameters, f).expand_as(sample))


def test_delta_method_helps_near_the_optimum_and_hurts_far_from_it():
    """Fact 43's sign: the model is good where the posterior is narrow, and bad where q is wide and misplaced."""
    x = torch.linspace(-2, 2, 40, dtype=torch.float64).unsqueeze(-1) * double(1.0, 0.5) + double(0.1, -0.2)
    y = (x[:, 0] > 0.2).double() * 2 - 1
    f = Evidence(lambda z: torch.nn.functional.logsigmoid(y * (z @ x.mT)).sum(-1) - z.square().sum(-1) / 2)

    def ratio(loc, scale):
        delta, plain = (
            estimates(estimators.get(name), build_normal, {"loc": loc, "scale": scale}, f, 1, 20_000).var(0).sum()
            for name in ("delta_method", "reinforce")
        )
        return float(delta / plain)

    assert ratio(double(2.0, 0.7), double(0.1, 0.1)) < 0.1
    assert ratio(double(0.0, 0.0), double(3.0, 3.0)) > 1.5


def test_hessian_of_a_batch():
    q = build_normal(torch.randn(5, 2, dtype=torch.float64), torch.ones(5, 2, dtype=torch.float64))
    f = CASES["normal"][2]
    each = torch.stack([torch.func.hessian(lambda z: f(z, q))(m) for m in q.mean])
    torch.testing.assert_close(hessian_at(q, f, q.mean), each)


def test_muprop_value_is_the_mean_of_f():
    q, f = bits(**LOGITS), CASES["bits"][2]
    torch.manual_seed(0)
    value = estimators.get("muprop").surrogate(q, f, 5)
    torch.manual_seed(0)
    torch.testing.assert_close(value, f(q.sample((5,)), q).mean())
