"""The waiting time in a single-server queue, by Lindley's recursion."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.errors import BadInput

MOST = 8
"""Largest number of customers with an accurate exact expectation: beyond, its partial fractions cancel too much."""


@objectives.register("queue_wait")
@dataclass(frozen=True)
class QueueWait(Target):
    """The mean waiting time of the customers after the first; z_d is the service time of customer d, `gap` that between
    arrivals.

    Lindley 1952: W_0 = 0, W_{d+1} = (W_d + z_d − gap)₊, which is S_d − min_{k ≤ d} S_k, S the random walk of z − gap.
    """

    used_by = "simulation of queues by infinitesimal perturbation analysis (Glasserman 1991; L'Ecuyer 1990)"
    twice_differentiable = False

    gap: float = 1.0

    def __post_init__(self) -> None:
        if self.gap <= 0:
            raise BadInput(f"queue_wait: the gap must be above 0, found {self.gap}")

    def fits(self, family: Family) -> str | None:
        return None if family.name == "exponential" else "has exponential service times"

    def value(self, z: Tensor) -> Tensor:
        walk = (z - self.gap).cumsum(-1)
        return (walk - walk.cummin(-1).values.clamp_max(0)).mean(-1)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns E f exactly: W_d is 0 with probability a, else has the density Σ_j c_j e^{−λ_j w}.

        Each customer adds one exponential. The next density is
        a μ e^{−μ(w+gap)} + ∫₀^{w+gap} μ e^{−μ(w+gap−v)} Σ_j c_j e^{−λ_j v} dv, by partial fractions in μ and λ_j.
        """
        rate = parameters["rate"]
        if rate.shape[-1] > MOST:
            return None
        rates, weights, total = rate[..., :0], rate[..., :0], torch.zeros_like(rate[..., 0])
        for mu in rate.unbind(-1):  # the customers, in order
            new = mu[..., None]
            share = new * weights / (new - rates)
            idle = 1 - (weights / rates).sum(-1, keepdim=True)
            kept = share * (-rates * self.gap).exp()
            added = (idle * new - share.sum(-1, keepdim=True)) * (-new * self.gap).exp()
            rates, weights = torch.cat([rates, new], -1), torch.cat([kept, added], -1)
            total = total + (weights / rates.square()).sum(-1)
        return total / rate.shape[-1]
