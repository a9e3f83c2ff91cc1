"""The noise against its known moments."""

import math

import pytest
import torch

from estimators.tools import noise
from tests.support.identities import covers

LIKE = torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("draw", "mean", "variance"),
    [
        (noise.uniform, 0.5, 1 / 12),
        (noise.gumbel, 0.5772156649, math.pi**2 / 6),
        (noise.logistic, 0.0, math.pi**2 / 3),
        (noise.rayleigh, math.sqrt(math.pi / 2), 2 - math.pi / 2),
        (noise.maxwell, 0.0, 3.0),
    ],
)
def test_moments(draw, mean, variance):
    torch.manual_seed(0)
    covers(draw(200_000, LIKE), mean, variance)


def test_uniform_times_maxwell_is_gaussian():
    torch.manual_seed(0)
    m = noise.maxwell(400_000, LIKE)
    x = torch.rand_like(m) * m
    covers(x, 0.0, 1.0)
    covers(x.square(), 1.0, 2.0)
    covers(x.pow(3), 0.0, 15.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_infinite_noise(dtype, monkeypatch):
    """torch.rand gives 0 once in 2²⁴ draws of float32: here on purpose, and its largest value."""
    largest = 1 - torch.finfo(dtype).eps / 2
    monkeypatch.setattr(torch, "rand", lambda shape, **kind: torch.tensor([0.0, largest], **kind).expand(shape))
    like = torch.zeros(2, dtype=dtype)
    for draw in (noise.gumbel, noise.logistic, noise.rayleigh):
        assert draw(1, like).isfinite().all()
