"""The relaxations: their bias by quadrature and by the small-temperature expansion, their draws, their limits."""

import numpy as np
import pytest
import torch

import estimators
from estimators import BadInput, Function
from estimators.relaxed import hardened, perturbed, softened
from tests.support.cases import CASES, bits, build_one_hot, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

NAMES = ["gumbel_softmax", "straight_through_gumbel"]
QUADRATIC = Function(lambda b: (b - 0.45).square().sum(-1))


def one_bit(logit: float, temperature: float, hard: bool) -> tuple[float, float]:
    """Mean and variance on one bit and (x − .45)², by a fine trapezoid over z = φ + logistic noise."""
    z = torch.linspace(-40, 40, 800_001, dtype=torch.float64)
    density = (z - logit).sigmoid() * (logit - z).sigmoid()
    x = (z / temperature).sigmoid()
    estimate = 2 * ((z > 0).double() - 0.45 if hard else x - 0.45) * x * (1 - x) / temperature
    mean = float(torch.trapezoid(density * estimate, z))
    return mean, float(torch.trapezoid(density * estimate.square(), z)) - mean**2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["bits", "extreme_bits", "one_hot", "evidence_of_bits"])
def test_biased(name, case):
    replicates = 20_000 if case != "extreme_bits" else 100_000
    assert_biased(estimates(estimators.get(name, temperature=0.8), *CASES[case], 4, replicates), exact(case))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_mean_and_variance_on_one_bit(name, temperature):
    mean, variance = one_bit(-1.0, temperature, name == "straight_through_gumbel")
    estimator = estimators.get(name, temperature=temperature)
    sample = estimates(estimator, bits, {"logits": double(-1.0)}, QUADRATIC, 1, 1_000_000)
    assert_unbiased(sample, double(mean), resolution=0.1)
    variance_agrees(sample, variance)


def test_published_bias_on_one_bit():
    """Fact 14: t = .45, φ = −1."""
    p = double(-1.0).sigmoid().item()
    published = {0.05: -4.532e-3, 0.1: -8.947e-3, 0.5: -3.1297e-2, 1.0: -3.4195e-2}
    for temperature, bias in published.items():
        assert one_bit(-1.0, temperature, False)[0] - p * (1 - p) * 0.1 == pytest.approx(bias, abs=1e-6)


def test_unbiased_in_the_limit_and_ever_noisier():
    """Fact 14: bias τ p(1−p)(2p−1) + O(τ²); variance → p(1−p)(1/5 − 2t/3 + 2t²/3)/τ."""
    p, t = double(-1.0).sigmoid().item(), 0.45
    mean, variance = one_bit(-1.0, 0.01, False)
    assert mean - p * (1 - p) * 0.1 == pytest.approx(0.01 * p * (1 - p) * (2 * p - 1), rel=0.02)
    assert variance * 0.01 == pytest.approx(p * (1 - p) * (1 / 5 - 2 * t / 3 + 2 * t * t / 3), rel=0.02)


def test_exact_on_a_linear_function_in_the_limit():
    """Several one-hot variables: at a small temperature the relaxed gradient of a non-separable f nears the truth."""
    sample = estimates(estimators.get("gumbel_softmax", temperature=0.05), *CASES["one_hot"], 10, 40_000)
    distance = (sample.mean(0) - exact("one_hot")).norm() / exact("one_hot").norm()
    assert distance < 0.05


@pytest.mark.parametrize("build", [bits, build_one_hot])
def test_hardened_draws_are_draws_of_q(build):
    q = build(double(2.0, -1.0, 0.3, 0.0, 1.0, -6.0).reshape(2, 3))
    torch.manual_seed(0)
    z = hardened(perturbed(q, 400_000), q)
    error = (q.mean * (1 - q.mean) / len(z)).sqrt()
    assert torch.all((z.mean(0) - q.mean).abs() < 6 * error)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_at_extremes(name, dtype):
    estimator = estimators.get(name, temperature=0.01)
    for build, logits in ((bits, [-100.0, 100.0, 0.0]), (build_one_hot, [[-100.0, 100.0, 0.0]])):
        parameters = {"logits": torch.tensor(logits, dtype=dtype)}
        f = Function(lambda z: z.flatten(2).square().sum(-1))
        assert estimates(estimator, build, parameters, f, 2, 1000).isfinite().all()


def test_float32_agrees():
    mean, _ = one_bit(-1.0, 0.5, False)
    case = single((bits, {"logits": double(-1.0)}, QUADRATIC), torch.float32)
    sample = enough(estimators.get("gumbel_softmax"), *case, 1, 400_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), double(mean), resolution=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_backward(name):
    for case in ("bits", "one_hot", "evidence_of_bits"):
        backward_agrees(estimators.get(name), CASES[case], 3)


def test_value():
    case = (bits, {"logits": double(0.0)}, QUADRATIC)
    value_is_plain(estimators.get("straight_through_gumbel"), case, 2, (0.55**2 + 0.45**2) / 2)
    assert not estimators.get("gumbel_softmax").traits.valued


def test_relaxed_one_hot_lies_on_the_simplex():
    q = build_one_hot(torch.zeros(2, 5))
    x = softened(perturbed(q, 100), q, 0.3)
    assert np.allclose(x.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_bad_temperature(temperature):
    with pytest.raises(BadInput, match="temperature"):
        estimators.get("gumbel_softmax", temperature=temperature)
