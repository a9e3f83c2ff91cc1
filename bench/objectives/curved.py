"""Continuous test functions whose coordinates interact: a dense quadratic, Rosenbrock's valley, a box."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family, Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.smooth import mean_variance, needs_moments
from estimators.core import Function, Objective
from estimators.errors import BadInput


@objectives.register("dense_quadratic")
@dataclass(frozen=True)
class DenseQuadratic(Target):
    """½ (z − c)ᵀ A (z − c), c_d = .4, A_ij = `decay`^|i−j|: every coordinate's slope depends on the others."""

    used_by = "variational inference near a mode, control with quadratic costs (Domke 2019; Geffner, Domke 2020)"

    decay: float = 0.7

    def matrix(self, size: int) -> Float[Tensor, "n n"]:
        """A, positive definite."""
        place = torch.arange(size, dtype=torch.float64)
        return self.decay ** (place[:, None] - place).abs()

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        matrix = self.matrix(family.size).to(like)
        return Function(lambda z: (((z - 0.4) @ matrix) * (z - 0.4)).sum(-1) / 2)

    def fits(self, family: Family) -> str | None:
        return only_real(family) or needs_moments(family, 2)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """½ [tr(A Σ) + (E z − c)ᵀ A (E z − c)]."""
        moments = mean_variance(family, parameters, level)
        covariance = family.covariance(parameters)
        if moments is None or (covariance is None and not family.factorised):
            return None
        matrix, apart = self.matrix(family.size), moments[0] - 0.4
        trace = moments[1].sum(-1) if covariance is None else (matrix * covariance).sum((-1, -2))
        return (trace + ((apart @ matrix) * apart).sum(-1)) / 2


@objectives.register("rosenbrock")
@dataclass(frozen=True)
class Rosenbrock(Target):
    """Σ_d (1 − z_d)² + `steepness` · (z_{d+1} − z_d²)²: a curved valley."""

    used_by = "black-box optimisation by evolution strategies (Salimans 2017; Choromanski 2018)"

    steepness: float = 2.0

    def value(self, z: Tensor) -> Tensor:
        here, after = z[..., :-1], z[..., 1:]
        return ((1 - here).square() + self.steepness * (after - here.square()).square()).sum(-1)

    def fits(self, family: Family) -> str | None:
        alone = "needs at least 2 coordinates" if family.size < 2 else None
        return only_real(family) or needs_moments(family, 4) or alone

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """By the first four moments of independent coordinates: E z'² − 2 E z' E z² + E z⁴ for the steep part."""
        first, second, fourth = (mean_of(family, parameters, power, level) for power in (1, 2, 4))
        if first is None or second is None or fourth is None:
            return None
        valley = second[..., 1:] - 2 * first[..., 1:] * second[..., :-1] + fourth[..., :-1]
        return (1 - 2 * first[..., :-1] + second[..., :-1] + self.steepness * valley).sum(-1)


@objectives.register("box")
@dataclass(frozen=True)
class Box(Target):
    """1 where every |z_d − centre| ≤ half_width, else 0: a rare event as the size grows."""

    used_by = "reliability, chance constraints, sparse rewards"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    centre: float = 0.25
    half_width: float = 0.3

    def __post_init__(self) -> None:
        if self.half_width <= 0:
            raise BadInput(f"box: the half width must be above 0, found {self.half_width}")

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.centre - self.half_width, self.centre + self.half_width)

    def inside(self, z: Tensor) -> Tensor:
        """Whether each coordinate is in."""
        return ((z - self.centre).abs() <= self.half_width).to(z.dtype)

    def value(self, z: Tensor) -> Tensor:
        return self.inside(z).prod(-1)

    def fits(self, family: Family) -> str | None:
        return only_real(family)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """The product of the coordinates' probabilities."""
        each = mean_of(family, parameters, self.inside, level, self.breaks)
        return None if each is None else each.prod(-1)


def only_real(family: Family) -> str | None:
    """Why a family has no vector of real numbers, in a clause; None when it has."""
    return None if family.values == "real" else "is a function of a real vector"


def mean_of(
    family: Family,
    parameters: Tensors,
    function: int | Callable[[Tensor], Tensor],
    level: int,
    breaks: tuple[float, ...] = (),
) -> Tensor | None:
    """E h(z_d) of independent coordinates, `[*leading, size]`, by a rule; an integer h is a power."""
    if not family.factorised or (breaks and not family.tractable_density):
        return None
    z, weight = family.line(parameters, breaks, level) if family.tractable_density else family.push(parameters, level)
    h = z**function if isinstance(function, int) else function(z)
    if not family.tractable_density:
        return torch.tensordot(weight, h, 1)
    return (weight * family.marginals(parameters).log_prob(z).exp() * h).sum(0)
