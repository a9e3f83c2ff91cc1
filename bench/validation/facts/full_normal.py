"""A Normal z = μ + Bε with any square matrix B: covariance B Bᵀ, gradients in μ and in every entry of B."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.numerics.tensors import Tensors


class FullNormal(Distribution):
    """The Normal with `loc` `[*batch, D]` and an invertible `matrix` `[*batch, D, D]`.

    >>> q = FullNormal(torch.zeros(2), torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    >>> normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.diag(torch.tensor([4.0, 1.0])))
    >>> z = torch.tensor([1.0, -1.0])
    >>> torch.isclose(q.log_prob(z), normal.log_prob(z))
    tensor(True)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real_vector,
        "matrix": constraints.independent(constraints.real, 2),
    }
    support = constraints.real_vector  # type: ignore[assignment]
    has_rsample = True

    def __init__(self, loc: Tensor, matrix: Tensor) -> None:
        self.loc, self.matrix = loc, matrix
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.matrix @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        noise = torch.linalg.solve(self.matrix, (value - self.loc).unsqueeze(-1)).squeeze(-1)
        volume = torch.linalg.slogdet(self.matrix).logabsdet
        return -noise.square().sum(-1) / 2 - volume - self.loc.shape[-1] * math.log(2 * math.pi) / 2


def full_normal(parameters: Tensors) -> Distribution:
    """Returns the Normal from its parameters by name."""
    return FullNormal(parameters["loc"], parameters["matrix"])
