"""ARM and DisARM against exact gradients, the variances that theory gives, and each other."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.coupled import Arm, DisArm
from tests.support.cases import CASES, bits, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

QUADRATIC = Function(lambda b: (b - 0.45).square().sum(-1))
DELTA = 0.55**2 - 0.45**2


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "evidence_of_bits"])
@pytest.mark.parametrize("name", ["arm", "disarm"])
@pytest.mark.parametrize("n", [2, 6])
def test_unbiased(name, case, n):
    sample = enough(estimators.get(name), *CASES[case], n, 100_000)
    assert_unbiased(sample, exact(case), resolution=0.02)


@pytest.mark.parametrize("name", ["arm", "disarm"])
def test_float32(name):
    sample = enough(estimators.get(name), *single(CASES["bits"], torch.float32), 2, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), exact("bits"), resolution=0.02)


@pytest.mark.parametrize("name", ["arm", "disarm"])
def test_backward_and_value(name):
    case = (bits, {"logits": double(0.5)}, QUADRATIC)
    backward_agrees(estimators.get(name), CASES["bits"], 4)
    p = double(0.5).sigmoid().item()
    value_is_plain(estimators.get(name), case, 4, p * 0.55**2 + (1 - p) * 0.45**2)


@pytest.mark.parametrize("logit", [0.3, -1.0, 2.0])
def test_variances_on_one_bit(logit):
    """Facts 4 and 5, m = min(p, 1−p): Δ²{⅔[⅛ − (½−m)³] − m²(1−m)²} and Δ² m(1−m)²(½−m)."""
    p = double(logit).sigmoid().item()
    m = min(p, 1 - p)
    arm = DELTA**2 * (2 / 3 * (1 / 8 - (0.5 - m) ** 3) - (m * (1 - m)) ** 2)
    disarm = DELTA**2 * m * (1 - m) ** 2 * (0.5 - m)
    for name, truth in (("arm", arm), ("disarm", disarm)):
        sample = estimates(estimators.get(name), bits, {"logits": double(logit)}, QUADRATIC, 2, 400_000)
        variance_agrees(sample, truth)


def test_disarm_has_no_variance_on_one_fair_bit():
    sample = estimates(estimators.get("disarm"), bits, {"logits": double(0.0)}, QUADRATIC, 2, 100)
    torch.testing.assert_close(sample, torch.full_like(sample, DELTA / 4))


@pytest.mark.parametrize(("name", "factor"), [("arm", 2.0), ("disarm", 1.0)])
def test_variances_on_many_bits(name, factor):
    """Fact 17 at D = 200, per coordinate: f = mean (b_i − t)², d = 1−2t, g = p(1−p) d/D."""
    D, t, phi = 200, 0.499, -0.6
    f = Function(lambda b: (b - t).square().mean(-1))
    d, p = 1 - 2 * t, double(phi).sigmoid().item()
    m, g = min(p, 1 - p), p * (1 - p) * d / D
    truth = {
        "arm": (d / D) ** 2 * (2 / 3 * (1 / 8 - (0.5 - m) ** 3) + (D - 1) * m / 6) - g**2,
        "disarm": (d / 2 / D) ** 2 * (1 - m) ** 2 * (2 * m + 4 * m * m * (D - 1)) - g**2,
    }
    sample = estimates(estimators.get(name), bits, {"logits": double(phi).expand(D)}, f, 2, 20_000)
    variance_agrees(sample, truth[name])


def test_disarm_is_arm_given_the_pair():
    """E[ARM | b, b̃]: ARM's mean over the uniforms that give one pair is DisARM's value for it."""
    phi = double(0.8, -0.4)
    t = phi.sigmoid()
    torch.manual_seed(0)
    u = torch.rand(400_000, 2, dtype=torch.float64)
    b, b_tilde = (u < t).double(), (1 - u < t).double()
    arm, disarm = Arm(), DisArm()
    code = (torch.cat([b, b_tilde], -1) * double(1, 2, 4, 8)).sum(-1)
    for value in code.unique():
        here = code == value
        mean = arm.factor(u, b, b_tilde, phi)[here]
        expected = disarm.factor(u, b, b_tilde, phi)[here][0]
        error = mean.std(0) / len(mean) ** 0.5
        # where both agree, f(b) − f(b̃) gets no weight from this coordinate: ARM's mean is 0 by symmetry
        assert torch.all((mean.mean(0) - expected).abs() < 6 * error)


@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_extreme_logits_give_numbers(logit):
    sample = estimates(estimators.get("disarm"), bits, {"logits": torch.tensor([logit])}, QUADRATIC, 2, 100)
    assert sample.isfinite().all()
