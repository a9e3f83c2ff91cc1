"""Stochastic triples against exact gradients."""

import pytest
import torch
from torch.distributions import Geometric, Poisson

import estimators
from estimators import Function
from estimators.stochastic_triples import one_of
from tests.support.cases import CASES, bits, double, exact, single
from tests.support.counts import COUNTS, F, poisson, summed
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates

ESTIMATOR = estimators.get("stochastic_triples")


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "evidence_of_bits"])
def test_unbiased_on_bits(case):
    assert_unbiased(enough(ESTIMATOR, *CASES[case], 2, 200_000), exact(case), resolution=0.02)


@pytest.mark.parametrize("name", COUNTS)
def test_unbiased_on_counts(name):
    assert_unbiased(enough(ESTIMATOR, *COUNTS[name], F, 2, 100_000), summed(name), resolution=0.03)


def test_float32():
    case = single((poisson, COUNTS["poisson"][1], F), torch.float32)
    assert_unbiased(enough(ESTIMATOR, *case, 2, 100_000).double(), summed("poisson"), resolution=0.03)


def test_one_coordinate():
    """Poisson: no variance on a linear f. Geometric (failures): E x = 1/p − 1."""
    linear = Function(lambda z: z)
    assert estimates(ESTIMATOR, Poisson, {"rate": double(1.7)}, linear, 1, 100).var() == 0
    sample = enough(ESTIMATOR, Geometric, {"probs": double(0.3)}, linear, 1, 100_000)
    assert_unbiased(sample, double(-1 / 0.3**2), resolution=0.02)


def test_the_neighbour_of_an_end_is_never_evaluated_outside():
    f = Function(lambda z: (z + 1).log().sum(-1))
    for name in ("binomial", "geometric"):
        assert estimates(ESTIMATOR, *COUNTS[name], f, 2, 20_000).isfinite().all()


def test_many_bits_take_two_evaluations():
    seen = []

    def f(z):
        seen.append(z.shape[:-2].numel())
        return z.sum(-1).square()

    case = (bits, {"logits": torch.linspace(-3, 3, 10, dtype=torch.float64)})
    sample = estimates(ESTIMATOR, *case, Function(f), 5, 100_000)
    assert seen == [10]  # 2 × 5 draws of 10 bits
    truth = enumerated(*case, Function(lambda z: z.sum(-1).square()))
    assert_unbiased(sample, truth, resolution=0.03)


def test_one_of_follows_the_weights():
    torch.manual_seed(0)
    weight = double(0.0, 1.0, 3.0)
    share = one_of(weight.expand(200_000, 3)).mean(0)
    assert torch.all((share - weight / 4).abs() < 6 * (0.25 * 0.75 / 200_000) ** 0.5)
    assert share[0] == 0
    assert one_of(torch.zeros(2, 3)).sum(-1).tolist() == [1.0, 1.0]
