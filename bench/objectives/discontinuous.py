"""Objectives that autograd cannot differentiate: an argmax, a program outside autograd, and a step."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives

KNOWN_CDF = (
    "exponential",
    "gumbel",
    "laplace",
    "log_normal",
    "logistic",
    "normal",
    "normal_location",
    "weibull",
)
"""Families of independent coordinates whose CDF is differentiable in θ."""


@objectives.register("argmax")
@dataclass(frozen=True)
class Argmax(Target):
    """The payoff of the largest coordinate, Σ_d payoff_d 1{d = argmax z}; payoff_d rises evenly from 0 to 1.

    Piecewise constant, so its pathwise gradient is 0. E f = Σ_d payoff_d ∫ q_d(x) Π_{j≠d} F_j(x) dx.
    """

    used_by = "choices by random utilities, perturbed optimisers (Berthet 2020), selection of the best design"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    def fits(self, family: Family) -> str | None:
        if family.name not in KNOWN_CDF:
            return f"compares independent coordinates of known CDF ({', '.join(KNOWN_CDF)})"
        return None if family.size > 1 else "needs at least 2 coordinates"

    def value(self, z: Tensor) -> Tensor:
        payoff = torch.linspace(0.0, 1.0, z.shape[-1], device=z.device, dtype=z.dtype)
        largest = z.argmax(-1, keepdim=True) == torch.arange(z.shape[-1], device=z.device)
        return (largest.to(z.dtype) * payoff).sum(-1)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns E f by a rule for each coordinate, with the CDFs of the others at its points."""
        kinks = parameters["loc"].detach().flatten().tolist() if "loc" in parameters else ()  # kinks of Laplace CDFs
        z, weight = family.line(parameters, tuple(kinks), level + 1)  # finer, for a narrow CDF within a wide density
        marginals = family.marginals(parameters)
        mass = weight * marginals.log_prob(z).exp()
        below = marginals.cdf(z.movedim(-1, 0).unsqueeze(-1))  # [d, S, *leading, j]: F_j at the points of coordinate d
        own = torch.eye(family.size, dtype=torch.bool).reshape(family.size, *(1 for _ in z.shape[:-1]), family.size)
        largest = (mass * torch.where(own, 1, below).prod(-1).movedim(0, -1)).sum(0)
        return largest @ torch.linspace(0.0, 1.0, family.size, dtype=torch.float64)


@objectives.register("black_box")
@dataclass(frozen=True)
class BlackBox(Target):
    """Σ log(1 + (z_d − centre)²), computed outside autograd: smooth, but autograd has no derivative."""

    used_by = "simulators and other programs outside autograd"
    separable = True
    differentiable = False
    twice_differentiable = False
    relaxable = False

    centre: float = 0.4

    def fits(self, family: Family) -> str | None:
        return None if family.values in ("real", "counts", "bits", "simplex") else "is a function of real coordinates"

    def terms(self, z: Tensor) -> Tensor:
        return (z.detach() - self.centre).square().log1p()


@objectives.register("step")
@dataclass(frozen=True)
class Step(Target):
    """Σ 1{z_d > at}: its derivative is 0 almost everywhere, so a pathwise gradient is 0, wrongly."""

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

    def fits(self, family: Family) -> str | None:
        return None if family.values in ("real", "counts", "bits", "simplex") else "is a function of real coordinates"
