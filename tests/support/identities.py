"""What the tests of several families ask of an estimator, besides its mean."""

import torch
from torch import Tensor

from estimators import Estimator
from tests.support.cases import Case
from tests.support.exactness import estimates


def backward_agrees(estimator: Estimator, case: Case, n: int) -> None:
    """A plain `.backward()` gives the gradient that torch.func.grad gives at the same seed."""
    build, parameters, f = case
    functional = estimates(estimator, build, parameters, f, n, 5, seed=3)
    leaves = {name: value.expand(5, *value.shape).clone().requires_grad_() for name, value in parameters.items()}
    torch.manual_seed(3)
    estimator.surrogate(build(**leaves), f, n).sum().backward()
    plain = torch.cat([leaf.grad.flatten(1) for leaf in leaves.values() if leaf.grad is not None], 1)
    torch.testing.assert_close(plain, functional)


def value_is_plain(estimator: Estimator, case: Case, n: int, exact: float, replicates: int = 50_000) -> None:
    """The surrogate's value has mean E f (|z| < 6)."""
    build, parameters, f = case
    torch.manual_seed(4)
    expanded = {name: value.expand(replicates, *value.shape) for name, value in parameters.items()}
    value = estimator.surrogate(build(**expanded), f, n).detach()
    assert abs(float((value.mean() - exact) / (value.std() / replicates**0.5))) < 6


def variance_agrees(sample: Tensor, truth: Tensor | float, limit: float = 5.5) -> None:
    """Per coordinate, the variance of `[R, P]` estimates is `truth`, within `limit` standard errors of it."""
    truth = torch.as_tensor(truth, dtype=torch.float64)
    kurtosis = (sample - sample.mean(0)).pow(4).mean(0) / sample.var(0).square()
    error = ((kurtosis - 1) / len(sample)).sqrt()
    z = (sample.var(0) / truth - 1) / error
    assert bool((z.abs() < limit).all()), f"variance {sample.var(0).tolist()}, expected {truth.tolist()}"


def covers(sample: Tensor, mean: Tensor | float, variance: Tensor | float) -> None:
    """Draws `[n, …]` have this mean and variance in every coordinate (|z| < 6)."""
    error = sample.std(0) / len(sample) ** 0.5
    assert bool(((sample.mean(0) - torch.as_tensor(mean)).abs() < 6 * error).all()), sample.mean(0)
    variance_agrees(sample, variance, 6)
