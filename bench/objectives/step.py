"""Discontinuous test functions."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family, Tensors
from bench.objectives.base import Target, objectives


@objectives.register("step")
@dataclass(frozen=True)
class Step(Target):
    """Σ 1{z_d > at}: differentiable nowhere that matters, so a pathwise gradient is 0, whatever the truth."""

    used_by = "probabilities of events, digital options, contact in simulation (Suh 2022)"
    separable = True
    differentiable = False
    twice_differentiable = False
    relaxable = False

    at: float = 0.4

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.at,)

    def terms(self, z: Tensor) -> Tensor:
        return (z > self.at).to(z.dtype)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Σ P(z_d > at), where the density's support moves and cannot be differentiated under the integral."""
        if family.tractable_density:
            return None
        return (1 - family.marginals(parameters).cdf(torch.tensor(self.at, dtype=torch.float64))).sum(-1)

    def fits(self, family: Family) -> str | None:
        return None if family.values in ("real", "counts", "bits", "simplex") else "is a function of real coordinates"
