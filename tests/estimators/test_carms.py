"""CARMS against exact gradients and against leave-one-out."""

import pytest
import torch

import estimators
from estimators import BadInput
from estimators.carms import Carms
from estimators.stratified import inverse_cdf
from tests.support.cases import CASES, double, exact, single
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates


@pytest.mark.parametrize("case", ["one_hot", "single_hot"])
@pytest.mark.parametrize(("n", "coupling"), [(2, 0.5), (4, 0.9)])
def test_unbiased(case, n, coupling):
    assert_unbiased(enough(Carms(coupling), *CASES[case], n, 100_000), exact(case), resolution=0.03)


def test_float32_and_extreme():
    sample = enough(Carms(), *single(CASES["one_hot"], torch.float32), 3, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), exact("one_hot"), resolution=0.03)
    build, _, f = CASES["single_hot"]
    case = (build, {"logits": double(-6.0, 0.5, 1.0, 6.0)}, f)
    assert_unbiased(enough(Carms(), *case, 3, 400_000), enumerated(*case), resolution=0.1)


def test_without_coupling_it_is_leave_one_out():
    free = estimates(Carms(0.0), *CASES["single_hot"], 3, 100_000)
    rloo = estimates(estimators.get("rloo"), *CASES["single_hot"], 3, 100_000)
    assert float(free.var(0).sum()) == pytest.approx(float(rloo.var(0).sum()), rel=0.05)


@pytest.mark.parametrize("n", [2, 3])
def test_pairs_have_the_probability_that_the_ratio_says(n):
    p = double(0.2, 0.5, 0.3)
    estimator = Carms(0.8)
    torch.manual_seed(0)
    z = inverse_cdf(estimator.uniforms(n, p[0].expand(400_000)), p.expand(400_000, 3))
    found = (z[0][:, :, None] * z[1][:, None, :]).mean(0)
    eye = torch.eye(3, dtype=torch.float64)
    for a in range(3):
        for b in range(3):
            pair = torch.stack([eye[a], eye[b], *[eye[0]] * (n - 2)])
            truth = float(p[a] * p[b] / estimator.ratio(pair, p)[0, 1])
            assert abs(float(found[a, b]) - truth) < 6 * (truth / 400_000) ** 0.5


def test_bad_coupling():
    with pytest.raises(BadInput, match="coupling"):
        estimators.get("carms", coupling=1.0)
