"""AR and ARMS against exact gradients, theory, and the estimators they extend."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.arms import antithetic_bits, correction
from estimators.tools.noise import antithetic_uniforms, exponential
from estimators.tools.parameters import logits
from tests.support.cases import CASES, bits, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates
from tests.support.identities import covers, variance_agrees

QUADRATIC = Function(lambda b: (b - 0.45).square().sum(-1))


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "evidence_of_bits"])
@pytest.mark.parametrize(("name", "n"), [("ar", 4), ("arms", 2), ("arms", 3), ("arms", 8)])
def test_unbiased(name, n, case):
    replicates = 400_000 if case == "extreme_bits" else 200_000
    assert_unbiased(enough(estimators.get(name), *CASES[case], n, replicates), exact(case), resolution=0.03)


@pytest.mark.parametrize(("name", "n"), [("ar", 2), ("arms", 4)])
def test_float32(name, n):
    sample = enough(estimators.get(name), *single(CASES["bits"], torch.float32), n, 200_000)
    assert_unbiased(sample.double(), exact("bits"), resolution=0.03)


@pytest.mark.parametrize("logit", [0.0, -1.0, 2.0])
def test_variance_of_augment_reinforce(logit):
    """Fact 3: [f₁²(1−(1−2p)³) + f₀²(1+(1−2p)³)]/6 − g²."""
    p, f1, f0 = double(logit).sigmoid().item(), 0.55**2, 0.45**2
    cube = (1 - 2 * p) ** 3
    truth = (f1**2 * (1 - cube) + f0**2 * (1 + cube)) / 6 - (p * (1 - p) * (f1 - f0)) ** 2
    variance_agrees(estimates(estimators.get("ar"), bits, {"logits": double(logit)}, QUADRATIC, 1, 400_000), truth)


def test_two_draws_are_disarm():
    """ARMS at K = 2 is DisARM: the same function of a pair."""
    phi = CASES["bits"][1]["logits"]
    f = CASES["bits"][2]
    torch.manual_seed(0)
    b = antithetic_bits(phi.expand(20, 3), 2)
    value = f(b, bits(phi))
    arms = ((value - value.mean(0))[..., None] * (b - phi.sigmoid())).sum(0) * correction(phi, 2)
    disarm = (value[0] - value[1])[:, None] / 2 * (b[0] - b[1]) * phi.abs().sigmoid()
    torch.testing.assert_close(arms, disarm)


def test_less_variance_than_leave_one_out():
    for n in (2, 4, 8):
        arms, rloo = (estimates(estimators.get(name), *CASES["bits"], n, 100_000) for name in ("arms", "rloo"))
        assert arms.var(0).sum() < rloo.var(0).sum()


def test_leave_one_out_on_these_draws_would_be_biased():
    class Uncorrected(type(estimators.get("arms"))):
        def surrogate(self, q, f, n):
            b = antithetic_bits(logits(q).detach(), n)
            value = f(b, q)
            return (n / (n - 1) * (value - value.mean(0)) * q.log_prob(b)).mean(0)

    assert_biased(estimates(Uncorrected(), *CASES["bits"], 3, 100_000), exact("bits"))


@pytest.mark.parametrize("n", [2, 3, 6])
def test_antithetic_uniforms(n):
    torch.manual_seed(0)
    u = antithetic_uniforms(n, torch.zeros(400_000, dtype=torch.float64))
    for power in (1, 2):
        covers(u.mT**power, 1 / (1 + power), 1 / (1 + 2 * power) - 1 / (1 + power) ** 2)
    for x, y in ((0.3, 0.3), (0.5, 0.8), (0.9, 0.7)):
        joint = max(x ** (1 / (n - 1)) + y ** (1 / (n - 1)) - 1, 0) ** (n - 1)
        both = ((u[0] < x) & (u[-1] < y)).double()
        assert abs(float(both.mean()) - joint) < 6 * (joint * (1 - joint) / len(both)) ** 0.5 + 1e-12


def test_exponential():
    torch.manual_seed(0)
    covers(exponential(200_000, torch.zeros(2, dtype=torch.float64)), 1.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_correction_is_a_number_everywhere(dtype):
    phi = torch.linspace(-120, 120, 241, dtype=dtype)
    for n in (2, 3, 10, 1000):
        factor = correction(phi, n)
        assert factor.isfinite().all()
        assert factor.min() >= 0.5
        assert factor.max() <= 1 + 1e-6
