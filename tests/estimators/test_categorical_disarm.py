"""Stick-breaking and tree DisARM: their trees, and exact gradients."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.categorical_disarm import node_logits, reached, walks
from tests.support.cases import CASES, bits, build_one_hot, double, exact, single
from tests.support.exactness import assert_unbiased, enough, enumerated, estimates

NAMES = ["stick_breaking_disarm", "tree_disarm"]
FIVE = (
    build_one_hot,
    {"logits": double(-6.0, 0.5, 1.0, -0.4, 6.0)[None]},
    Function(lambda z: (z * double(3.0, -1.0, 0.5, 2.0, -4.0)).sum((-1, -2)).exp()),
)


@pytest.mark.parametrize("name", NAMES)
def test_unbiased(name):
    assert_unbiased(enough(estimators.get(name), *CASES["one_hot"], 4, 100_000), exact("one_hot"), resolution=0.02)
    assert_unbiased(enough(estimators.get(name), *FIVE, 4, 200_000), enumerated(*FIVE), resolution=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    sample = enough(estimators.get(name), *single(CASES["one_hot"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), exact("one_hot"), resolution=0.03)


@pytest.mark.parametrize("shape", ["stick", "balanced"])
@pytest.mark.parametrize("C", [2, 3, 4, 7, 8])
def test_a_walk_ends_at_one_category_with_its_probability(shape, C):
    torch.manual_seed(0)
    phi = torch.randn(C, dtype=torch.float64)
    walk = walks(C, shape, phi)
    every = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * (C - 1)).reshape(-1, C - 1)
    z = reached(every, walk)
    assert torch.equal(z.sum(-1), torch.ones(len(every), dtype=torch.float64))
    t = node_logits(phi, walk).sigmoid()
    weight = (every * t + (1 - every) * (1 - t)).prod(-1)
    torch.testing.assert_close(weight @ z, phi.softmax(-1))


def test_balanced_walks_are_short():
    assert walks(8, "balanced", torch.zeros(())).abs().sum(0).tolist() == [3.0] * 8


@pytest.mark.parametrize("name", NAMES)
def test_two_categories_are_disarm(name):
    """(φ, 0) is one bit: draw by draw the same gradient in φ."""
    pair = {"logits": double(0.8, 0.0)[None]}
    weight = double(2.0, 0.0)
    as_pair = estimates(
        estimators.get(name), build_one_hot, pair, Function(lambda z: (z * weight).sum((-1, -2)).exp()), 2, 50
    )
    as_bit = estimates(
        estimators.get("disarm"), bits, {"logits": double(0.8)}, Function(lambda z: (2 * z).sum(-1).exp()), 2, 50
    )
    torch.testing.assert_close(as_pair[:, :1], as_bit)
    torch.testing.assert_close(as_pair.sum(-1), torch.zeros(50, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_at_extremes(name, dtype):
    parameters = {"logits": torch.tensor([[-100.0, 100.0, 0.0, 30.0, -200.0]], dtype=dtype)}
    f = Function(lambda z: z.flatten(2).square().sum(-1))
    assert estimates(estimators.get(name), build_one_hot, parameters, f, 2, 1000).isfinite().all()
