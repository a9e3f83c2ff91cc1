"""FouST: exact on separable functions, biased elsewhere by what its own integral says."""

import pytest
import torch

import estimators
from estimators import Function
from tests.support.cases import CASES, bits, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, enumerated, estimates

ESTIMATOR = estimators.get("foust")
SEPARABLE = Function(lambda b: (b - 0.3).pow(3).sum(-1) + (2 * b).exp()[..., 1])


@pytest.mark.parametrize("case", ["bits", "extreme_bits"])
def test_unbiased_on_separable_functions(case):
    problem = (*CASES[case][:2], SEPARABLE)
    assert_unbiased(enough(ESTIMATOR, *problem, 2, 100_000), enumerated(*problem), resolution=0.02)


def test_float32():
    problem = single((*CASES["bits"][:2], SEPARABLE), torch.float32)
    truth = enumerated(*CASES["bits"][:2], SEPARABLE)
    assert_unbiased(enough(ESTIMATOR, *problem, 2, 100_000).double(), truth, resolution=0.02)


@pytest.mark.parametrize("case", ["bits", "evidence_of_bits"])
def test_biased_elsewhere(case):
    assert_biased(estimates(ESTIMATOR, *CASES[case], 2, 100_000), exact(case))


def test_bias_on_a_product():
    """f = b₁b₂: t₁(1−t₁) E x₂ in place of t₁(1−t₁) t₂, and E x = ½ + (t − ½)/2."""
    logits = double(0.5, -1.2)
    t = logits.sigmoid()
    sample = estimates(ESTIMATOR, bits, {"logits": logits}, Function(lambda b: b.prod(-1)), 1, 400_000)
    assert_unbiased(sample, t * (1 - t) * (0.5 + (t.flip(0) - 0.5) / 2), resolution=0.02)
    assert_biased(sample, t * (1 - t) * t.flip(0))
