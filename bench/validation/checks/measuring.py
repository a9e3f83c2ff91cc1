"""Checks of the measurement itself: the variance and the test of zero bias."""

from collections.abc import Callable

import torch
from torch import Tensor

from estimators.checks.failure import require

Variance = Callable[[Tensor], float]
"""Estimates `[R, P]` → the trace of their covariance."""

BiasTest = Callable[[Tensor, Tensor], float]
"""(estimates `[R, P]`, exact `[P]`) → the p-value of zero bias."""

TRIALS = 40


def check_variance(variance: Variance, seed: int) -> None:
    """Checks a variance function: the trace of the covariance, with means and variances that differ by coordinate."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    x = torch.tensor([5.0, -7.0, 40.0]) + sizes * torch.randn(40_000, 3, generator=generator, dtype=torch.float64)
    truth = float(sizes.square().sum())
    found = variance(x)
    require(abs(found / truth - 1) < 0.05, f"variance {found:.4g} where the trace of the covariance is {truth:.4g}")


def check_bias_test(test: BiasTest, seed: int) -> None:
    """Checks a test of zero bias: few false rejections, and power against several biases.

    The biases: of opposite signs, in one coordinate, a shrinkage, and with a singular covariance.
    """
    generator = torch.Generator().manual_seed(seed)
    R, P = 2000, 6
    exact = torch.linspace(-1.0, 2.0, P, dtype=torch.float64)

    def noise(rank: int) -> Tensor:
        x = torch.randn(R, rank, generator=generator, dtype=torch.float64)
        return torch.cat([x, -x[:, : P - rank]], 1)

    alarms = sum(test(exact + noise(P), exact) < 1e-3 for _ in range(TRIALS))
    require(alarms <= 2, f"{alarms} of {TRIALS} unbiased estimators are called biased at the level 0.001")
    biases = {
        "of opposite signs": (torch.tensor([0.3, -0.3, 0.3, -0.3, 0.3, -0.3], dtype=torch.float64), P),
        "in one coordinate": (torch.tensor([0, 0, 0, 0, 0.3, 0], dtype=torch.float64), P),
        "that shrinks": (-0.25 * exact, P),
        "where the covariance is singular": (torch.tensor([0.32, 0, 0, 0.32, 0, 0], dtype=torch.float64), P // 2),
    }
    for name, (bias, rank) in biases.items():
        p = test(exact + bias + noise(rank), exact)
        require(p < 1e-6, f"a bias {name} is not detected: p = {p:.2g} in {R} estimates")
