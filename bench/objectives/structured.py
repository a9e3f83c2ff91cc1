"""Objectives with structure: a choice of about k bits, and a chain with separate terms."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.smooth import mean_variance, needs_moments
from estimators.core import Objective, Terms


@objectives.register("k_sparse")
@dataclass(frozen=True)
class KSparse(Target):
    """Σ w_d b_d − penalty · (Σ b_d − k)², w_d evenly from 1 to ½: the best k items, their number penalised."""

    used_by = "feature selection, sparse gates and L0 regularisation (Louizos 2018)"

    k: float = 2.0
    penalty: float = 0.5

    def fits(self, family: Family) -> str | None:
        return None if family.values == "bits" else "is a function of bits"

    def value(self, z: Tensor) -> Tensor:
        weight = torch.linspace(1.0, 0.5, z.shape[-1], device=z.device, dtype=z.dtype)
        return (weight * z).sum(-1) - self.penalty * (z.sum(-1) - self.k).square()

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns Σ w p − penalty · [Σ p (1 − p) + (Σ p − k)²] for independent bits, else None."""
        moments = mean_variance(family, parameters, level) if family.factorised else None
        if moments is None:
            return None
        mean, variance = moments
        weight = torch.linspace(1.0, 0.5, family.size, dtype=torch.float64)
        return mean @ weight - self.penalty * (variance.sum(-1) + (mean.sum(-1) - self.k).square())


@objectives.register("chain")
@dataclass(frozen=True)
class Chain(Target):
    """Σ_d (z_{d+1} − a z_d)² as separate terms of two neighbours each, for Rao-Blackwellisation by structure."""

    used_by = "factor graphs and time series (Ranganath 2014; Schulman 2015)"

    a: float = 0.6

    def fits(self, family: Family) -> str | None:
        if family.values not in ("real", "counts", "bits"):
            return "is a function of a vector of numbers"
        return needs_moments(family, 2) or (None if family.size > 1 else "needs at least 2 coordinates")

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        row = torch.eye(family.size, device=like.device, dtype=like.dtype)
        return Terms(lambda z: (z[..., 1:] - self.a * z[..., :-1]).square(), row[1:] + row[:-1])

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns Σ Var z' + a² Var z − 2a Cov(z, z') + (E z' − a E z)², or None if the moments are unknown."""
        moments, covariance = mean_variance(family, parameters, level), family.covariance(parameters)
        if moments is None or (covariance is None and not family.factorised):
            return None
        mean, variance = moments
        apart = (mean[..., 1:] - self.a * mean[..., :-1]).square()
        spread = variance[..., 1:] + self.a**2 * variance[..., :-1]
        shared = 0 if covariance is None else 2 * self.a * covariance.diagonal(1, -2, -1)
        return (apart + spread - shared).sum(-1)
