"""Smooth test functions of real coordinates, one term per coordinate."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.errors import BadInput


@dataclass(frozen=True)
class Smooth(Target):
    """Σ_d of a smooth term of each coordinate: real numbers, counts, or bits (with values between 0 and 1 allowed)."""

    separable = True

    def fits(self, family: Family) -> str | None:
        return None if family.values in ("real", "counts", "bits", "simplex") else "is a function of real coordinates"


@objectives.register("linear")
@dataclass(frozen=True)
class Linear(Smooth):
    """Σ slope · z_d. Its expectation is exact if the family's mean is known."""

    used_by = "unit tests of every estimator; the variance of the score alone (Mohamed 2020, section 4)"

    slope: float = 1.0

    def terms(self, z: Tensor) -> Tensor:
        return self.slope * z

    def fits(self, family: Family) -> str | None:
        constant = "is constant on the simplex" if family.values == "simplex" else None
        return super().fits(family) or constant or needs_moments(family, 1)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        moments = mean_variance(family, parameters, level)
        return moments and (self.slope * moments[0]).sum(-1)


@objectives.register("quadratic")
@dataclass(frozen=True)
class Quadratic(Smooth):
    """Σ (z_d − centre)².

    Mohamed et al. 2020, section 3, compare score, pathwise and measure-valued gradients on it.
    """

    used_by = "the comparison of estimators in Mohamed et al. 2020, section 3; squared losses"

    centre: float = 0.4

    def terms(self, z: Tensor) -> Tensor:
        return (z - self.centre).square()

    def fits(self, family: Family) -> str | None:
        return super().fits(family) or needs_moments(family, 2)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        moments = mean_variance(family, parameters, level)
        return moments and (moments[1] + (moments[0] - self.centre).square()).sum(-1)


@objectives.register("exponential")
@dataclass(frozen=True)
class Exponential(Smooth):
    """Σ exp(−rate · z_d)."""

    used_by = "exponential utilities and survival; curvature that grows on one side"

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 0.5:
            raise BadInput(f"exponential: the rate must be above 0 and at most 0.5, found {self.rate}")

    def terms(self, z: Tensor) -> Tensor:
        return (-self.rate * z).exp()

    def fits(self, family: Family) -> str | None:
        return super().fits(family) or (None if family.light_tailed else "has no mean under heavy tails")


@objectives.register("cosine")
@dataclass(frozen=True)
class Cosine(Smooth):
    """Σ cos(frequency · z_d): pathwise variance grows as frequency², the score's does not (Mohamed 2020, section 3)."""

    used_by = "oscillating costs, where pathwise gradients lose to the score function (Metz 2021; Suh 2022)"

    frequency: float = 2.0

    def terms(self, z: Tensor) -> Tensor:
        return (self.frequency * z).cos()

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        mean = family.mean_cosine(parameters, self.frequency, level)
        return None if mean is None else mean.sum(-1)


def mean_variance(family: Family, parameters: Tensors, level: int) -> tuple[Tensor, Tensor] | None:
    """Returns each coordinate's mean and variance, `[*leading, size]`, by torch or a rule; None without marginals."""
    try:
        marginal = family.marginals(parameters)
    except NotImplementedError:
        return None
    try:
        return marginal.mean, marginal.variance
    except NotImplementedError:
        z, weight = family.line(parameters, (), level)
        mass = family.mass(parameters, z, weight)
        mean = (mass * z).sum(0)
        return mean, (mass * z.square()).sum(0) - mean.square()


def needs_moments(family: Family, order: int) -> str | None:
    """Returns a clause if E|z|^order is not finite, else None."""
    return None if family.moments > order else f"needs {order} finite moment{'s' * (order > 1)}"
