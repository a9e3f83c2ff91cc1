"""Exact gradients by enumeration or quadrature for small torch distributions, and the test against them."""

from collections.abc import Callable

import torch
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Distribution

from estimators import Estimator, Objective
from estimators.tools.parameters import support

Tensors = dict[str, Tensor]
Build = Callable[..., Distribution]


def estimates(
    estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int, replicates: int, seed: int = 0
) -> Tensor:
    """`[replicates, P]` independent estimates of ∇ E f in `parameters`; P over all of them, in order."""
    torch.manual_seed(seed)
    expanded = {name: value.expand(replicates, *value.shape) for name, value in parameters.items()}
    gradient = torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(expanded)
    return torch.cat([value.flatten(1) for value in gradient.values()], 1)


def enumerated(build: Build, parameters: Tensors, f: Objective) -> Tensor:
    """The exact gradient of E f for a discrete q, `[P]`; −log q inside f is held, as its direct term is zero."""

    def expectation(values: Tensors) -> Tensor:
        q = build(**values)
        z = support(q)
        return (q.log_prob(z).exp() * f(z, q)).sum()

    return torch.cat([value.flatten() for value in torch.func.grad(expectation)(parameters).values()])


def z_scores(sample: Tensor, exact: Tensor) -> Tensor:
    """Per coordinate: (mean − exact) in standard errors; coordinates without variance must agree to 1e-9."""
    mean, error = sample.mean(0), sample.std(0) / len(sample) ** 0.5
    still = error < 1e-12 * (1 + exact.abs())
    assert torch.all((mean - exact)[still].abs() < 1e-9 * (1 + exact.abs().max())), "constant and wrong"
    return torch.where(still, torch.zeros_like(error), (mean - exact) / error.clamp_min(1e-300))


def assert_unbiased(sample: Tensor, exact: Tensor, resolution: float = 0.05, alpha: float = 1e-7) -> None:
    """No coordinate's mean is off by more than chance, and chance is below `resolution` × ‖exact‖ in all.

    The second half is the power: a test that could not have seen a bias of `resolution` fails.
    """
    z = z_scores(sample, exact)
    limit = float(norm.isf(alpha / 2 / z.numel()))
    reached = float((sample.var(0).sum() / len(sample)).sqrt() / exact.norm())
    assert z.abs().max() < limit, f"biased: |z| = {z.abs().max():.1f} > {limit:.1f}"
    assert reached < resolution, f"no power: resolves {reached:.3f} of ‖g‖, not {resolution}; spend more replicates"


def assert_biased(sample: Tensor, exact: Tensor, z: float = 8.0) -> None:
    """Some coordinate's mean is off by more than `z` standard errors."""
    largest = z_scores(sample, exact).abs().max()
    assert largest > z, f"no bias seen: |z| = {largest:.1f}"
