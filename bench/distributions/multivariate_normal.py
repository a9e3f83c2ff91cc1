"""A Normal with full covariance."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.normal import FastNormal
from bench.distributions.pairs import normal_support
from bench.numerics.tensors import Tensors


@distributions.register("multivariate_normal")
@dataclass(frozen=True)
class MultivariateNormalFamily(Family):
    """A Normal with `size` dependent coordinates, given by the lower Cholesky factor L of its covariance.

    θ is loc and the `size`(`size`+1)/2 entries of L row by row, with the log of its diagonal when unconstrained,
    so no coordinate of the gradient is zero by construction. `extreme`: diagonal of L from 0.01 to 0.03.
    """

    used_by = "full-covariance variational inference (Titsias 2014; Kucukelbir 2017)"
    discrete = False
    factorised = False
    reparameterised = True
    points = ("default", "extreme")
    values = "real"

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high, scale = {"default": (-0.6, 1.2, 1.0), "extreme": (0.39, 0.46, 0.02)}[point]
        loc = torch.linspace(low, high, self.size, dtype=torch.float64)
        row, column = torch.tril_indices(self.size, self.size)
        below = 0.4 * scale * (1.7 * row + 0.9 * column).to(loc).sin() / self.size**0.5
        on = scale * torch.linspace(-0.6, 0.3, self.size, dtype=torch.float64).exp()
        on = on.log() if coordinates == "unconstrained" else on
        return {"loc": loc, "scale_tril": torch.where(row == column, on[row], below)}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        entries = theta["scale_tril"]
        row, column = torch.tril_indices(self.size, self.size, device=entries.device)
        if coordinates == "unconstrained":
            diagonal = row == column
            entries = torch.where(diagonal, torch.where(diagonal, entries, 0.0).exp(), entries)
        tril = torch.zeros(self.size, self.size, dtype=entries.dtype, device=entries.device)
        return {"loc": theta["loc"], "scale_tril": tril.index_put((row, column), entries)}

    def build(self, parameters: Tensors) -> Distribution:
        """Returns the Normal with only the lower triangle of L: torch would also differentiate the entries above it."""
        return MultivariateNormal(parameters["loc"], scale_tril=parameters["scale_tril"].tril(), validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return FastNormal(parameters["loc"], spread(parameters), validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return location_scale(parameters["loc"], spread(parameters), breaks, level)

    def covariance(self, parameters: Tensors) -> Tensor:
        tril = parameters["scale_tril"].tril()
        return tril @ tril.mT

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return normal_support(parameters["loc"], self.covariance(parameters), breaks, level)


def spread(parameters: Tensors) -> Float[Tensor, "*leading size"]:
    """Returns each coordinate's standard deviation."""
    return parameters["scale_tril"].tril().square().sum(-1).sqrt()
