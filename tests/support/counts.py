"""Small problems on counts and on exponentials, with exact gradients by summation and by moments."""

import torch
from torch import Tensor
from torch.distributions import Binomial, Distribution, Exponential, Geometric, Independent, Poisson

from estimators import Function
from tests.support.cases import double
from tests.support.exactness import Build, Tensors

F = Function(lambda z: (z.sum(-1) - 0.5).square() + (0.7 * z[..., 0] * z[..., 1]).sin() + (-z[..., 1]).exp())


def poisson(rate: Tensor) -> Distribution:
    return Independent(Poisson(rate, validate_args=False), 1)


def binomial(probs: Tensor) -> Distribution:
    return Independent(Binomial(torch.full_like(probs, 4), probs, validate_args=False), 1)


def geometric(probs: Tensor) -> Distribution:
    return Independent(Geometric(probs, validate_args=False), 1)


def exponential(rate: Tensor) -> Distribution:
    return Independent(Exponential(rate, validate_args=False), 1)


COUNTS: dict[str, tuple[Build, Tensors]] = {
    "poisson": (poisson, {"rate": double(1.3, 0.6)}),
    "binomial": (binomial, {"probs": double(0.3, 0.8)}),
    "geometric": (geometric, {"probs": double(0.4, 0.7)}),
}


def summed(name: str, last: int = 60) -> Tensor:
    """The exact gradient of E F: a sum over both coordinates up to `last` (Binomial: up to 4)."""
    build, parameters = COUNTS[name]
    x = torch.arange(5 if name == "binomial" else last, dtype=torch.float64)
    z = torch.cartesian_prod(x, x)

    def expectation(values: Tensors) -> Tensor:
        q = build(**values)
        return (q.log_prob(z).exp() * F(z, q)).sum()

    return torch.cat([value.flatten() for value in torch.func.grad(expectation)(parameters).values()])
