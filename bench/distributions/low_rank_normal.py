"""A Normal whose covariance is a diagonal plus a matrix of low rank."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, LowRankMultivariateNormal

from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.normal import FastNormal
from bench.distributions.pairs import normal_support
from bench.numerics.tensors import Tensors


@distributions.register("low_rank_normal")
@dataclass(frozen=True)
class LowRankNormalFamily(Family):
    """N(loc, WWᵀ + diag): θ is loc, the factor W [`size`, `rank`], and the diagonal (its log when unconstrained).

    `extreme`: a diagonal of 1e-4 beside a factor of order 1, an ill-conditioned covariance.
    """

    used_by = "variational inference in many dimensions (Ong 2018; Tomczak 2020)"
    discrete = False
    factorised = False
    reparameterised = True
    points = ("default", "extreme")
    values = "real"

    rank: int = 2

    def theta(self, point: str, coordinates: str) -> Tensors:
        size, rank = self.size, self.rank
        low, high = {"default": (-1.2, 0.4), "extreme": (-9.2, -8.0)}[point]
        log_diagonal = torch.linspace(low, high, size, dtype=torch.float64)
        place = torch.arange(size * rank, dtype=torch.float64).reshape(size, rank)
        free = coordinates == "unconstrained"
        return {
            "loc": torch.linspace(-0.6, 1.2, size, dtype=torch.float64),
            "cov_factor": 0.7 * (1.3 * place + 0.4).sin(),
            "log_cov_diag" if free else "cov_diag": log_diagonal if free else log_diagonal.exp(),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        diagonal = theta["log_cov_diag"].exp() if coordinates == "unconstrained" else theta["cov_diag"]
        return {"loc": theta["loc"], "cov_factor": theta["cov_factor"], "cov_diag": diagonal}

    def build(self, parameters: Tensors) -> Distribution:
        return LowRankMultivariateNormal(**parameters, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        variance = parameters["cov_factor"].square().sum(-1) + parameters["cov_diag"]
        return FastNormal(parameters["loc"], variance.sqrt(), validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        marginal = self.marginals(parameters)
        return location_scale(marginal.mean, marginal.stddev, breaks, level)

    def covariance(self, parameters: Tensors) -> Tensor:
        factor = parameters["cov_factor"]
        return factor @ factor.mT + torch.diag_embed(parameters["cov_diag"])

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return normal_support(parameters["loc"], self.covariance(parameters), breaks, level)
