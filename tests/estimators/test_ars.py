"""ARS and ARSM against exact gradients, and against each other."""

import pytest
import torch

import estimators
from estimators import BadInput, Function
from estimators.ars import Ars, Arsm, swapped, swaps_with, table
from estimators.tools.noise import exponential
from tests.support.cases import CASES, build_one_hot, double, exact, single
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates
from tests.support.identities import covers

FIVE = (
    build_one_hot,
    {"logits": double(-6.0, 0.5, 1.0, -0.4, 6.0)[None]},
    Function(lambda z: (z * double(3.0, -1.0, 0.5, 2.0, -4.0)).sum((-1, -2)).exp()),
)


@pytest.mark.parametrize("estimator", [Ars(), Ars(reference=2), Arsm()], ids=str)
def test_unbiased(estimator):
    assert_unbiased(enough(estimator, *CASES["one_hot"], 2, 100_000), exact("one_hot"), resolution=0.02)


@pytest.mark.parametrize("estimator", [Ars(reference=4), Arsm()], ids=str)
def test_unbiased_on_five_categories_at_extreme_logits(estimator):
    assert_unbiased(enough(estimator, *FIVE, 2, 400_000), enumerated(*FIVE), resolution=0.1)


def test_float32():
    sample = enough(Arsm(), *single(CASES["one_hot"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), exact("one_hot"), resolution=0.02)


def test_arsm_is_the_mean_over_references():
    sample = [estimates(Ars(reference=j), *CASES["one_hot"], 3, 20, seed=4) for j in range(3)]
    torch.testing.assert_close(torch.stack(sample).mean(0), estimates(Arsm(), *CASES["one_hot"], 3, 20, seed=4))


def test_every_swap_is_a_draw_of_q():
    q = build_one_hot(double(0.5, -0.7, 0.2, 1.0)[None])
    torch.manual_seed(0)
    z = swapped(q.mean.log(), exponential(200_000, q.mean), swaps_with(1, torch.tensor([[0], [1], [3]]), 4), q)
    for draws in z:
        covers(draws, q.mean, q.mean * (1 - q.mean))


def test_table():
    c, j = torch.triu_indices(4, 4, 1)
    places = table(c, j, 4)
    assert torch.equal(places, places.mT)
    assert places[1, 3] == [(a, b) for a, b in zip(c.tolist(), j.tolist(), strict=True)].index((1, 3))
    assert torch.equal(places.diagonal(), torch.full((4,), 6))


def test_bad_reference():
    with pytest.raises(BadInput, match="0 to 2"):
        estimators.get("ars", reference=3).surrogate(build_one_hot(torch.zeros(2, 3)), CASES["one_hot"][2], 1)
