"""Gumbel-sparsemax: the projection, its Jacobian, the estimator's bias."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.sparsemax import sparsemax
from tests.support.cases import CASES, bits, build_one_hot, double, exact
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates


def projected(z: torch.Tensor) -> torch.Tensor:
    """The same point by bisection on the threshold."""
    low, high = z.min(-1, keepdim=True).values - 1, z.max(-1, keepdim=True).values
    for _ in range(100):
        middle = (low + high) / 2
        too_low = (z - middle).relu().sum(-1, keepdim=True) > 1
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    return (z - low).relu()


def test_projection_and_jacobian():
    torch.manual_seed(0)
    z = torch.randn(500, 6, dtype=torch.float64) * torch.logspace(-2, 1, 500, dtype=torch.float64)[:, None]
    x = sparsemax(z)
    torch.testing.assert_close(x, projected(z))
    found = torch.func.vmap(torch.func.jacrev(sparsemax))(z)
    kept = (x > 0).double()
    formula = torch.diag_embed(kept) - kept[:, :, None] * kept[:, None, :] / kept.sum(-1)[:, None, None]
    torch.testing.assert_close(found, formula)


def test_biased():
    for case in ("bits", "one_hot"):
        sample = estimates(estimators.get("gumbel_sparsemax", temperature=1.0), *CASES[case], 2, 50_000)
        assert_biased(sample, exact(case))


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_mean_on_one_bit(temperature):
    """∫ density · 2(x − t)/2τ over |φ + noise| < τ, x = ½ + z/2τ."""
    z = torch.linspace(-temperature, temperature, 20_001, dtype=torch.float64)
    density = (z + 1.0).sigmoid() * (-1.0 - z).sigmoid()
    mean = torch.trapezoid(density * (0.5 + z / (2 * temperature) - 0.45) / temperature, z)
    f = Function(lambda b: (b - 0.45).square().sum(-1))
    estimator = estimators.get("gumbel_sparsemax", temperature=temperature)
    sample = enough(estimator, bits, {"logits": double(-1.0)}, f, 1, 1_000_000)
    assert_unbiased(sample, mean[None], resolution=0.1)


def test_most_draws_are_corners_at_a_small_temperature():
    """93 % at τ = 0.1 and four equal categories: then the gradient is exactly 0."""
    f = Function(lambda z: (z * torch.arange(4)).sum((-1, -2)))
    parameters = {"logits": torch.zeros(1, 4, dtype=torch.float64)}
    sample = estimates(estimators.get("gumbel_sparsemax", temperature=0.1), build_one_hot, parameters, f, 1, 50_000)
    assert (sample == 0).all(-1).double().mean() == pytest.approx(0.93, abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_at_extremes(dtype):
    f = Function(lambda z: z.flatten(2).square().sum(-1))
    for build, logits in ((bits, [-100.0, 100.0, 0.0]), (build_one_hot, [[-100.0, 100.0, 0.0]])):
        parameters = {"logits": torch.tensor(logits, dtype=dtype)}
        sample = estimates(estimators.get("gumbel_sparsemax", temperature=0.01), build, parameters, f, 2, 1000)
        assert sample.isfinite().all()
