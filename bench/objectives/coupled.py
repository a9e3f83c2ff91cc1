"""Test functions that are not sums of one-coordinate terms, so that shortcuts for separable f cannot hide an error."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.smooth import mean_variance, needs_moments
from estimators.core import Function, Objective


@objectives.register("squared_sum")
@dataclass(frozen=True)
class SquaredSum(Target):
    """(Σ_d w_d v_d − target)² / size: every coordinate interacts with every other.

    v_d is the coordinate, or the category index of a one-hot row; w_d falls evenly from 1 to ½.
    """

    used_by = "sums that must hit a target: subset sums, budgets, pooled labels"

    target: float = 1.3

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        weight = torch.linspace(1.0, 0.5, family.size).to(like)
        number = torch.arange(getattr(family, "categories", 1)).to(like)

        def value(z: Tensor) -> Tensor:
            v = (z * number).sum(-1) if family.values == "one_hot" else z
            return ((weight * v).sum(-1) - self.target).square() / family.size

        return Function(value)

    def fits(self, family: Family) -> str | None:
        if family.values not in ("real", "counts", "bits", "simplex", "one_hot"):
            return "is a function of a vector of numbers or one-hot rows"
        return needs_moments(family, 2)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns Var S + (E S − target)² over the size, S = Σ w v; None if the mean or variance of S is unknown."""
        weight = torch.linspace(1.0, 0.5, family.size, dtype=torch.float64)
        moments = sum_moments(family, parameters, weight, level)
        return moments and (moments[1] + (moments[0] - self.target).square()) / family.size


def sum_moments(family: Family, parameters: Tensors, weight: Tensor, level: int) -> tuple[Tensor, Tensor] | None:
    """Returns mean and variance of Σ w_d z_d, or None if the coordinates' moments or covariances are unknown."""
    moments = None if family.values == "one_hot" else mean_variance(family, parameters, level)
    if moments is None:
        return None
    mean, variance = moments
    covariance = family.covariance(parameters)
    if covariance is not None:
        return (weight * mean).sum(-1), ((covariance @ weight) * weight).sum(-1)
    return ((weight * mean).sum(-1), (weight.square() * variance).sum(-1)) if family.factorised else None


@objectives.register("parity")
@dataclass(frozen=True)
class Parity(Target):
    """Π_d (1 − 2 b_d), 1 for an even number of ones, −1 for an odd number: no proper subset of the bits determines it.

    Between 0 and 1 it is this product, which is the multilinear extension.
    """

    used_by = "hardness results on gradient learning (Shalev-Shwartz, Shamir, Shammah 2017)"

    def value(self, z: Tensor) -> Tensor:
        return (1 - 2 * z).prod(-1)

    def fits(self, family: Family) -> str | None:
        return None if family.values == "bits" else "is a function of bits"

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        return (-parameters["logits"] / 2).tanh().prod(-1) if family.factorised else None


@objectives.register("ising")
@dataclass(frozen=True)
class Ising(Target):
    """A ring of spins s_d = 2 b_d − 1: coupling · Σ s_d s_{d+1} + Σ h_d s_d, divided by the size; h_d from −½ to 1."""

    used_by = "combinatorial optimisation, statistical physics, structured variational inference"

    coupling: float = 0.8

    def value(self, z: Tensor) -> Tensor:
        return self.energy(2 * z - 1)

    def energy(self, spin: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch"]:
        """Returns the energy of spins, or its expectation from the means of independent spins (it is multilinear)."""
        size = spin.shape[-1]
        field = torch.linspace(-0.5, 1.0, size, dtype=spin.dtype, device=spin.device)
        pairs = spin * spin.roll(-1, -1)
        return (self.coupling * pairs.sum(-1) + (field * spin).sum(-1)) / size

    def fits(self, family: Family) -> str | None:
        if family.values != "bits":
            return "is a function of bits"
        return None if family.size > 1 else "needs at least 2 bits: one has no neighbour"

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        return self.energy((parameters["logits"] / 2).tanh()) if family.factorised else None
