"""The evidence lower bound of Bayesian linear regression on real data; the evidence is known."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.data.datasets import diabetes
from bench.distributions.base import Family
from bench.numerics.constants import LOG_2PI
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.gaussian import divergence, misfit, projected, standard
from bench.objectives.minibatch import Index, Minibatches, minibatches
from estimators.core import Evidence, Objective

SIZE = 10


@objectives.register("linear_regression")
@dataclass(frozen=True)
class LinearRegression(Target):
    """log N(y; Xz, σ² I) + log N(z; 0, I) − log q(z): diabetes, 442 patients, 10 features; σ = `noise`.

    Points: `start` is q = N(0, I); `trained` is the best q of the family. With full covariance this is the exact
    posterior N(Λ⁻¹Xᵀy/σ², Λ⁻¹), Λ = I + XᵀX/σ²: f(z) is then the log-evidence for every z, and sticking the
    landing has variance 0. With a diagonal q it is N(Λ⁻¹Xᵀy/σ², 1/diag Λ). The expectation is in closed form.
    """

    used_by = "variational inference's test of exactness (Roeder 2017; Domke 2019)"
    points = ("start", "trained")

    noise: float = 0.7

    def fits(self, family: Family) -> str | None:
        return misfit(family, SIZE)

    def theta(self, family: Family, point: str) -> Tensors | None:
        if point == "start":
            return standard(family)
        if point != "trained":
            return None
        if family.name == "normal":
            return {"loc": self.posterior_mean(), "log_scale": -self.precision().diagonal().log() / 2}
        tril = torch.linalg.cholesky(torch.linalg.inv(self.precision()))
        unconstrained = tril.tril(-1) + tril.diagonal().log().diag()
        row, column = torch.tril_indices(SIZE, SIZE)
        return {"loc": self.posterior_mean(), "scale_tril": unconstrained[row, column]}

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        x, y = (array.to(like) for array in diabetes())

        def log_joint(z: Tensor) -> Tensor:
            error = (z @ x.T - y).square().sum(-1) / self.noise**2
            return -(error + z.square().sum(-1) + self.log_volume) / 2

        return Evidence(log_joint)

    @property
    def log_volume(self) -> float:
        """Log normalising constants of both densities, times −2."""
        rows = len(diabetes()[1])
        return (rows + SIZE) * LOG_2PI + 2 * rows * math.log(self.noise)

    def precision(self) -> Float[Tensor, "10 10"]:
        """Returns Λ = I + XᵀX / σ²."""
        x, _ = diabetes()
        return torch.eye(SIZE, dtype=x.dtype) + x.T @ x / self.noise**2

    def posterior_mean(self) -> Float[Tensor, " 10"]:
        """Returns Λ⁻¹ Xᵀy / σ²."""
        x, y = diabetes()
        return torch.linalg.solve(self.precision(), x.T @ y) / self.noise**2

    def log_evidence(self) -> Float[Tensor, ""]:
        """Returns log N(y; 0, σ² I + X Xᵀ)."""
        x, y = diabetes()
        covariance = self.noise**2 * torch.eye(len(y), dtype=x.dtype) + x @ x.T
        return torch.distributions.MultivariateNormal(torch.zeros_like(y), covariance).log_prob(y)

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        x, y = diabetes()
        mean, variance = projected(parameters, x)
        error = ((y - mean).square() + variance).sum(-1) / self.noise**2
        likelihood = -(error + len(y) * (LOG_2PI + 2 * math.log(self.noise))) / 2
        return likelihood - divergence(parameters)


@minibatches.register
def _(target: LinearRegression, family: Family, point: str, like: Tensor) -> Minibatches:
    """log N(z; 0, I) − log q(z) plus N/m times the log-likelihood of m patients."""
    x, y = (array.to(like) for array in diabetes())
    volume = target.log_volume

    def at(index: Index) -> Objective:
        own_x, own_y, share = x[index], y[index], len(y) / index.shape[1]

        def log_joint(z: Tensor) -> Tensor:
            error = (torch.einsum("...rd,rmd->...rm", z, own_x) - own_y).square().sum(-1) / target.noise**2
            return -(share * error + z.square().sum(-1) + volume) / 2

        return Evidence(log_joint)

    return Minibatches(len(y), at)
