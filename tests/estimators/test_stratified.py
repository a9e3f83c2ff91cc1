"""Stratified and systematic draws: unbiased, quieter, one in every stratum."""

import pytest
import torch

import estimators
from estimators import Function
from tests.support.cases import CASES, build_one_hot, double, exact, single
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates

NAMES = ["stratified", "systematic"]


@pytest.mark.parametrize("case", ["single_hot", "one_hot"])
@pytest.mark.parametrize("name", NAMES)
def test_unbiased_and_quieter(name, case):
    sample = estimates(estimators.get(name), *CASES[case], 4, 100_000)
    assert_unbiased(sample, exact(case))
    assert sample.var(0).sum() < estimates(estimators.get("reinforce"), *CASES[case], 4, 100_000).var(0).sum()


@pytest.mark.parametrize("name", NAMES)
def test_float32_and_extreme(name):
    sample = enough(estimators.get(name), *single(CASES["one_hot"], torch.float32), 4, 100_000)
    assert_unbiased(sample.double(), exact("one_hot"))
    case = (
        build_one_hot,
        {"logits": double(-6.0, 0.0, 6.0)[None]},
        Function(lambda z: z[..., 1].sum(-1) - 3 * z[..., 0, 0]),
    )
    assert_unbiased(enough(estimators.get(name), *case, 4, 400_000), enumerated(*case), resolution=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_every_stratum_is_drawn_once(name):
    """With p = 1/4 each and four draws, every category comes up once."""
    seen = []

    def remember(z):
        seen.append(z)
        return z.sum((-1, -2))

    torch.manual_seed(0)
    estimators.get(name).surrogate(build_one_hot(torch.zeros(100, 2, 4)), Function(remember), 4)
    assert torch.equal(seen[0].sum(0), torch.ones(100, 2, 4))
    assert not torch.equal(seen[0][:, :, 0], seen[0][:, :, 1])  # each variable in an order of its own
