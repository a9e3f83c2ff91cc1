"""Independent variables on an interval or a circle: Kumaraswamy, truncated Normal, von Mises, Uniform(0, θ)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Kumaraswamy, Uniform, constraints
from torch.special import log_ndtr, ndtr, ndtri

from bench.distributions.base import distributions
from bench.distributions.line_rules import panelled, unit_interval
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.constants import LOG_2
from bench.numerics.quadrature import legendre
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need


@dataclass(frozen=True)
class Bounded(Univariate):
    """Families with an independent number in a bounded set per coordinate."""

    discrete = False
    reparameterised = True
    values = "real"


class ModelessKumaraswamy(Kumaraswamy):
    """torch's Kumaraswamy without a mode, and with its density in closed form.

    torch's `mode` is NaN, because it takes the logarithm of 1 − concentration0. torch's density is 0 where 1 − z^a
    rounds to 1.
    """

    offers_as = Kumaraswamy
    offers_not = frozenset({Need.MODE})

    def log_prob(self, value: Tensor) -> Tensor:
        a, b, log_value = self.concentration1, self.concentration0, value.log()
        return a.log() + b.log() + (a - 1) * log_value + (b - 1) * log_one_minus_exp(a * log_value)


def log_one_minus_exp(x: Tensor) -> Tensor:
    """Returns log(1 − eˣ) for x < 0, to full precision for small and large |x| (Mächler 2012).

    >>> log_one_minus_exp(torch.tensor([-1e-20, -50.0], dtype=torch.float64)).tolist()
    [-46.051701859880914, -1.9287498479639178e-22]
    """
    near, far = (-x.expm1()).log(), (-x.clamp_max(-LOG_2).exp()).log1p()
    return torch.where(x > -LOG_2, near, far)


@distributions.register("kumaraswamy")
@dataclass(frozen=True)
class KumaraswamyFamily(Bounded):
    """Like Beta, with a closed-form distribution function; θ is the log of its concentrations, or the concentrations.

    `extreme`: mass near 0, from first concentrations of 0.1 to 0.4.
    """

    used_by = "stick breaking with explicit pathwise gradients (Nalisnick, Smyth 2017)"
    kind = ModelessKumaraswamy
    domains: ClassVar[dict[str, Domain]] = {"concentration1": "positive", "concentration0": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"concentration1": (0.2, 1.0), "concentration0": (0.9, 0.3)},
        "extreme": {"concentration1": (-2.3, -0.9), "concentration0": (0.9, 0.3)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        one, zero = (parameters[name].detach() for name in ("concentration1", "concentration0"))
        return unit_interval(one, zero, breaks, level)


class TruncatedNormal(Distribution):
    """N(loc, scale²) truncated to [low, high], sampled by its quantile function; the support does not depend on θ."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    has_rsample = True
    offers = frozenset({Need.DENSITY, Need.REPARAMETERISED, Need.MEAN})
    offers_not = frozenset({Need.MODE})

    def __init__(
        self, loc: Tensor, scale: Tensor, low: float = -1.0, high: float = 2.0, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.low, self.high = loc, scale, low, high
        super().__init__(loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.interval(self.low, self.high)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device)
        below, above = ndtr((self.low - self.loc) / self.scale), ndtr((self.high - self.loc) / self.scale)
        return self.loc + self.scale * ndtri(below + noise * (above - below))

    def log_prob(self, value: Tensor) -> Tensor:
        u = (value - self.loc) / self.scale
        low, high = (self.low - self.loc) / self.scale, (self.high - self.loc) / self.scale
        mass = log_ndtr(high) + (-(log_ndtr(low) - log_ndtr(high)).exp()).log1p()
        return -u.square() / 2 - self.scale.log() - math.log(2 * math.pi) / 2 - mass

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * self._edges()[0]

    @property
    def variance(self) -> Tensor:
        first, second = self._edges()
        return self.scale.square() * (1 + second - first.square())

    def _edges(self) -> tuple[Tensor, Tensor]:
        """Returns (φ(a) − φ(b)) / Z and (a φ(a) − b φ(b)) / Z, at the standardised ends a and b."""
        a, b = (self.low - self.loc) / self.scale, (self.high - self.loc) / self.scale
        at_a, at_b = ((-end.square() / 2).exp() / math.sqrt(2 * math.pi) for end in (a, b))
        mass = ndtr(b) - ndtr(a)
        return (at_a - at_b) / mass, (a * at_a - b * at_b) / mass


@distributions.register("truncated_normal")
@dataclass(frozen=True)
class TruncatedNormalFamily(Bounded):
    """A Normal truncated to [`low`, `high`]; θ is its untruncated loc and scale. `extreme`: scales 0.01 to 0.05."""

    used_by = "bounded actions, constrained latents"
    kind = TruncatedNormal
    domains: ClassVar[dict[str, Domain]] = {"loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"loc": (-0.4, 1.2), "scale": (-0.3, 0.4)},
        "extreme": {"loc": (0.39, 0.46), "scale": (-4.6, -3.0)},
    }

    low: float = -1.0
    high: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.low < 0.3 and self.high > 0.5):
            raise BadInput(f"truncated_normal: [low, high] must hold [0.3, 0.5], found [{self.low}, {self.high}]")

    def marginals(self, parameters: Tensors) -> Distribution:
        return TruncatedNormal(**parameters, low=self.low, high=self.high, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        ends = [(end - loc) / scale for end in (self.low, self.high)]
        low, high = (torch.clamp(end, -12, 12) for end in ends)
        first, last = (torch.clamp(end, -40, 40) for end in ends)
        at = [(point - loc) / scale for point in breaks]
        return panelled(lambda u: loc + scale * u, low, high, at, level, panels=150, limits=(first, last))


class VonMises(torch.distributions.VonMises):
    """torch's von Mises with the exact Bessel function.

    torch's polynomial for log I₀, and so its density, is accurate only to 1e-7. `mean` and `variance` raise
    NotImplementedError: torch's are those of a direction, not of z.
    """

    offers_as = torch.distributions.VonMises
    offers_not = frozenset({Need.MEAN})

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        log_bessel = torch.special.i0e(self.concentration).log() + self.concentration
        return self.concentration * (value - self.loc).cos() - math.log(2 * math.pi) - log_bessel


@distributions.register("von_mises")
@dataclass(frozen=True)
class VonMisesFamily(Bounded):
    """Angles in (−π, π], sampled by rejection; θ is loc and concentration. `extreme`: concentration 150 to 400."""

    used_by = "directions, rotations, circular latents (Davidson 2018)"
    reparameterised = False
    kind = VonMises
    domains: ClassVar[dict[str, Domain]] = {"loc": "real", "concentration": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"loc": (-0.6, 1.1), "concentration": (-0.2, 1.3)},
        "extreme": {"loc": (0.37, 0.48), "concentration": (5.0, 6.0)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc = parameters["loc"].detach()
        end = torch.full_like(loc, math.pi)
        return panelled(lambda z: z, -end, end, [torch.full_like(loc, at) for at in breaks], level)

    def marginals(self, parameters: Tensors) -> Distribution:
        return VonMises(**parameters, validate_args=False)


@distributions.register("uniform")
@dataclass(frozen=True)
class UniformFamily(Bounded):
    """Uniform on [0, θ]: the support depends on θ, so the log-derivative trick is wrong (for E z: −½ instead of +½).

    `extreme`: θ from 0.01 to 0.6.
    """

    used_by = "the counterexample to the score function; random search"
    tractable_density = False
    kind = Uniform
    domains: ClassVar[dict[str, Domain]] = {"high": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"high": (-0.3, 0.8)}, "extreme": {"high": (-4.6, -0.5)}}

    def marginals(self, parameters: Tensors) -> Distribution:
        return Uniform(torch.zeros_like(parameters["high"]), parameters["high"], validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns points inside [0, θ], and the point θ, marked by the weight −1."""
        high = parameters["high"].detach()
        at = [torch.full_like(high, point) for point in breaks]
        z, weight = panelled(lambda z: z, torch.zeros_like(high), high, at, level)
        return torch.cat([z, high[None]]), torch.cat([weight, -torch.ones_like(high)[None]])

    def mass(self, parameters: Tensors, z: Tensor, weight: Tensor) -> Tensor:
        """Returns weight / θ, and for the edge (θ′ − θ)/θ′: the mass beyond θ if θ grows, correct to first order."""
        high = parameters["high"]
        return torch.where(weight < 0, high - high.detach(), weight) / high

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Float[Tensor, " S"]]:
        unit, weight = legendre(0.0, 1.0, 4 * 2**level)
        high = parameters["high"]
        return high * unit.reshape(-1, *(1 for _ in high.shape)), weight
