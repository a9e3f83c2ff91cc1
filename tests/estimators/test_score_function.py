"""The score-function estimators against exact gradients."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent

import estimators
from estimators import Function
from tests.support.exactness import assert_unbiased, enough, enumerated

LOGITS = {"logits": torch.tensor([-1.0, 0.3, 1.2], dtype=torch.float64)}
F = Function(lambda z: (z.sum(-1) - 1.3).square() + z[..., 0] * z[..., 1])


def bits(logits):
    return Independent(Bernoulli(logits=logits), 1)


@pytest.mark.parametrize(("name", "n"), [("reinforce", 1), ("reinforce", 3), ("rloo", 2), ("rloo", 5)])
def test_unbiased_on_bits(name, n):
    sample = enough(estimators.get(name), bits, LOGITS, F, n, 200_000)
    assert_unbiased(sample, enumerated(bits, LOGITS, F), resolution=0.02)
