"""Continuous test functions with kinks, one term per coordinate."""

import math
from dataclasses import dataclass

from torch import Tensor

from bench.distributions.base import Family
from bench.distributions.black_scholes import MATURITY, RATE
from bench.objectives.base import Target, objectives
from bench.objectives.smooth import needs_moments
from estimators.errors import BadInput

DISCOUNT = math.exp(-RATE * MATURITY)


@dataclass(frozen=True)
class Kinked(Target):
    """Σ_d of terms with a kink: differentiable almost everywhere; the second derivative misses the kink."""

    separable = True
    twice_differentiable = False

    def fits(self, family: Family) -> str | None:
        if family.values not in ("real", "counts", "simplex"):
            return "is a function of real coordinates or counts"
        return needs_moments(family, 1)


@objectives.register("absolute")
@dataclass(frozen=True)
class Absolute(Kinked):
    """Σ |z_d − centre|."""

    used_by = "robust losses, sparsity"

    centre: float = 0.4

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.centre,)

    def terms(self, z: Tensor) -> Tensor:
        return (z - self.centre).abs()


@objectives.register("newsvendor")
@dataclass(frozen=True)
class Newsvendor(Kinked):
    """Σ holding · (stock − z_d)₊ + shortage · (z_d − stock)₊: the cost of an inventory that meets demand z."""

    used_by = "inventory and supply-chain optimisation (Glasserman, Tayur 1995)"

    stock: float = 1.5
    holding: float = 1.0
    shortage: float = 3.0

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.stock,)

    def fits(self, family: Family) -> str | None:
        return "is for demands that do not add up to 1" if family.values == "simplex" else super().fits(family)

    def terms(self, z: Tensor) -> Tensor:
        return self.holding * (self.stock - z).relu() + self.shortage * (z - self.stock).relu()


@dataclass(frozen=True)
class Option(Target):
    """A payoff at maturity; z holds the assets' log prices."""

    separable = True
    twice_differentiable = False

    strike: float = 100.0

    def __post_init__(self) -> None:
        if self.strike <= 0:
            raise BadInput(f"{self.name}: the strike must be above 0, found {self.strike}")

    @property
    def breaks(self) -> tuple[float, ...]:
        return (math.log(self.strike),)

    def fits(self, family: Family) -> str | None:
        return None if family.name == "black_scholes" else "is an option on Black-Scholes assets"


@objectives.register("european_call")
@dataclass(frozen=True)
class EuropeanCall(Option):
    """e^{−rT} Σ (S_d − strike)₊: its gradients in spot and volatility are delta and vega."""

    used_by = "option pricing: delta and vega (Broadie, Glasserman 1996)"

    def terms(self, z: Tensor) -> Tensor:
        return DISCOUNT * (z.exp() - self.strike).relu()


@objectives.register("digital_call")
@dataclass(frozen=True)
class DigitalCall(Option):
    """e^{−rT} Σ 1{S_d > strike}: its pathwise delta is 0, which is wrong."""

    used_by = "digital and barrier options (Glasserman 2004, section 7.2.2)"
    differentiable = False
    relaxable = False

    def terms(self, z: Tensor) -> Tensor:
        return DISCOUNT * (z > math.log(self.strike)).to(z.dtype)
