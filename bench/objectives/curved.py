"""Continuous test functions with interacting coordinates: a dense quadratic, Rosenbrock's valley, a box."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from bench.distributions.base import Family
from bench.distributions.line_rules import expected, nearest_to
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.smooth import mean_variance, needs_moments
from estimators.core import Function, Objective
from estimators.errors import BadInput

NORMALS = ("low_rank_normal", "multivariate_normal")
FEW = 2
"""Largest number of dependent coordinates for which a product of rules is affordable."""


@objectives.register("dense_quadratic")
@dataclass(frozen=True)
class DenseQuadratic(Target):
    """½ (z − c)ᵀ A (z − c), c_d = 0.4, A_ij = `decay`^|i−j|: each partial derivative depends on all coordinates."""

    used_by = "variational inference near a mode, control with quadratic costs (Domke 2019; Geffner, Domke 2020)"

    decay: float = 0.7

    def matrix(self, size: int) -> Float[Tensor, "n n"]:
        """Returns the positive definite A."""
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
        """Returns ½ [tr(A Σ) + (E z − c)ᵀ A (E z − c)], or None if the moments are unknown."""
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
        known = family.factorised or family.name in NORMALS or family.size <= family.pushed_size
        moments = None if known else "is over independent or Normal coordinates, or two that are mapped from noise"
        return only_real(family) or needs_moments(family, 4) or alone or moments

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns E f by moments, E z'² − 2 E z' E z² + E z⁴ for the steep part of independent coordinates, or None."""
        q = family.build(parameters)
        if isinstance(q, MultivariateNormal | LowRankMultivariateNormal):
            return self.normal_expectation(q.mean, q.covariance_matrix)
        first, second, fourth = (mean_of(family, parameters, power, level) for power in (1, 2, 4))
        if first is None or second is None or fourth is None:
            return None
        valley = second[..., 1:] - 2 * first[..., 1:] * second[..., :-1] + fourth[..., :-1]
        return (1 - 2 * first[..., :-1] + second[..., :-1] + self.steepness * valley).sum(-1)

    def normal_expectation(
        self, mean: Float[Tensor, "*leading n"], covariance: Float[Tensor, "*leading n n"]
    ) -> Float[Tensor, "*leading"]:
        """Returns E f by E z'z² = m'(m² + v) + 2mc and E z⁴ = m⁴ + 6m²v + 3v² (Isserlis 1918), c = Cov(z, z')."""
        variance, shared = covariance.diagonal(0, -2, -1), covariance.diagonal(1, -2, -1)
        m, v, after = mean[..., :-1], variance[..., :-1], mean[..., 1:]
        mixed = after * (m.square() + v) + 2 * m * shared
        fourth = m**4 + 6 * m.square() * v + 3 * v.square()
        valley = variance[..., 1:] + after.square() - 2 * mixed + fourth
        return ((1 - m).square() + v + self.steepness * valley).sum(-1)


@objectives.register("box")
@dataclass(frozen=True)
class Box(Target):
    """1 if every |z_d − centre| ≤ half_width, else 0: a rarer event at larger sizes."""

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
        """Returns 1 for each coordinate inside the box, else 0."""
        return ((z - self.centre).abs() <= self.half_width).to(z.dtype)

    def value(self, z: Tensor) -> Tensor:
        return self.inside(z).prod(-1)

    def fits(self, family: Family) -> str | None:
        few = family.factorised or (family.size <= FEW and family.tractable_density and not family.hidden)
        return only_real(family) or (None if few else "is over independent coordinates, or two that have a density")

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns the product of the coordinates' probabilities, or None for dependent coordinates."""
        each = mean_of(family, parameters, self.inside, level, self.breaks)
        return None if each is None else each.prod(-1)


def only_real(family: Family) -> str | None:
    """Returns a clause for a family whose draws are not real vectors, else None."""
    return None if family.values == "real" else "is a function of a real vector"


def mean_of(
    family: Family,
    parameters: Tensors,
    function: int | Callable[[Tensor], Tensor],
    level: int,
    breaks: tuple[float, ...] = (),
) -> Tensor | None:
    """Returns E h(z_d) of independent coordinates, `[*leading, size]`, by a rule; None for dependent coordinates.

    `function`: h, or an integer power. The sum is c + E (h − c), c the value of h nearest to its mean, so that a
    gradient from the tails alone keeps its precision.
    """
    if not family.factorised:
        return None
    z, weight = family.line(parameters, breaks, level)
    h = z**function if isinstance(function, int) else function(z)
    mass = family.mass(parameters, z, weight)
    c = nearest_to(expected(mass, h).detach(), h)
    return c + expected(mass, h - c)
