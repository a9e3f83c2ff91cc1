"""Quadratic forms, a curved valley and a rugged landscape: their values by hand."""

import numpy as np
import pytest
import torch

from bench.distributions import distributions
from bench.objectives import objectives

NORMAL, BITS = distributions.get("normal", size=3), distributions.get("bernoulli", size=4)


def function(family, name, **settings):
    return objectives.get(name, **settings).build(family, "default", torch.zeros((), dtype=torch.float64))


def test_dense_quadratic():
    """½ (z − 0.4)ᵀ A (z − 0.4) with A_ij = decay^|i − j|; one step away from the centre in two coordinates."""
    f = function(NORMAL, "dense_quadratic", decay=0.5)
    q = NORMAL.build(NORMAL.encode(NORMAL.theta("default", "natural"), "natural"))
    z = torch.tensor([[1.4, 0.4, 0.4], [1.4, 1.4, 0.4], [1.4, 0.4, -0.6]], dtype=torch.float64)
    assert f(z, q).tolist() == pytest.approx([0.5, (1 + 1 + 2 * 0.5) / 2, (1 + 1 - 2 * 0.25) / 2])


def test_rosenbrock():
    """Σ (1 − z_d)² + steepness (z_{d+1} − z_d²)²: 0 at the ones, and by hand beside it."""
    f = function(NORMAL, "rosenbrock", steepness=2.0)
    q = NORMAL.build(NORMAL.encode(NORMAL.theta("default", "natural"), "natural"))
    z = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 1.0, 3.0]], dtype=torch.float64)
    assert f(z, q).tolist() == pytest.approx([0.0, 2.0, (1 + 2 * 9) + (0 + 2 * 4)])


def test_nk_landscape():
    """The mean of the tables' entries at each bit and its two right neighbours, on a ring; linear in each bit."""
    f = function(BITS, "nk_landscape", seed=3)
    table = np.random.default_rng(3).uniform(size=(4, 2, 2, 2))
    q = BITS.build(BITS.encode(BITS.theta("default", "natural"), "natural"))
    b = (1, 0, 0, 1)
    by_hand = float(np.mean([table[i, b[i], b[(i + 1) % 4], b[(i + 2) % 4]] for i in range(4)]))
    z = torch.tensor([b, (0, 0, 0, 1), (0.25, 0, 0, 1)], dtype=torch.float64)
    value = f(z, q).tolist()
    assert value[0] == pytest.approx(by_hand)
    assert value[2] == pytest.approx(0.25 * value[0] + 0.75 * value[1])
