"""Independent location-scale variables other than Normal: Laplace, Logistic, Gumbel, Student's t, Cauchy."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Cauchy, Distribution, Gamma, Gumbel, Laplace, StudentT, constraints
from torch.nn.functional import softplus

from bench.distributions.base import distributions
from bench.distributions.line_rules import LOG_MOST, UNDERFLOW, gamma_line, location_scale, panelled, refuse_beyond
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors
from estimators.traits import Need


@dataclass(frozen=True)
class LocationScale(Univariate):
    """z = loc + scale · noise; θ is loc and log_scale, or loc and scale. `extreme`: scales from 0.01 to 0.05."""

    discrete = False
    reparameterised = True
    values = "real"
    domains: ClassVar[dict[str, Domain]] = {"loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"loc": (-0.5, 0.9), "scale": (-0.9, -0.1)},
        "extreme": {"loc": (0.39, 0.46), "scale": (-4.6, -3.0)},
    }
    reach: ClassVar[float] = 80.0
    """Scales covered densely on either side: exp(−80) of the mass, with room for exp(−z/2)."""

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return location_scale(parameters["loc"], parameters["scale"], breaks, level, reach=self.reach, limit=UNDERFLOW)


@distributions.register("laplace")
@dataclass(frozen=True)
class LaplaceFamily(LocationScale):
    """Laplace (double exponential) variables: the density has a kink at loc."""

    used_by = "differential privacy, sparse models, robust policies"
    kind = Laplace

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        end, limit = torch.full_like(loc, self.reach), torch.full_like(loc, UNDERFLOW)
        at, kink = [(point - loc) / scale for point in breaks], [torch.zeros_like(loc)]
        limits = (-limit, limit)
        return panelled(lambda u: loc + scale * u, -end, end, at, level, panels=120, limits=limits, edges=kink)


class Logistic(Distribution):
    """The logistic distribution, loc + scale · logit u; torch has it only as a chain of transforms."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real  # type: ignore[assignment]
    has_rsample = True
    offers = frozenset({Need.DENSITY, Need.REPARAMETERISED, Need.MEAN, Need.MODE})

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * torch.pi**2 / 3

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        tiny = torch.finfo(noise.dtype).eps
        return self.loc + self.scale * noise.clamp(tiny, 1 - tiny).logit()

    def cdf(self, value: Tensor) -> Tensor:
        return torch.sigmoid((value - self.loc) / self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        u = ((value - self.loc) / self.scale).abs()  # torch's softplus has an error of 2e-9 above 20
        return -u - 2 * softplus(-u) - self.scale.log()


@distributions.register("logistic")
@dataclass(frozen=True)
class LogisticFamily(LocationScale):
    """Logistic variables: the noise of a relaxed bit."""

    used_by = "discretised image likelihoods (PixelCNN++), relaxed bits"
    kind = Logistic


@distributions.register("gumbel")
@dataclass(frozen=True)
class GumbelFamily(LocationScale):
    """Gumbel variables, the distribution of maxima: skewed to the right."""

    used_by = "perturb-and-MAP, extreme values, discrete choice"
    kind = Gumbel

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        zero = torch.zeros_like(loc)
        at, limits, edges = [(point - loc) / scale for point in breaks], (zero - 7, zero + UNDERFLOW), [zero + 8]
        return panelled(
            lambda u: loc + scale * u, zero - 5, zero + 50, at, level, panels=120, limits=limits, edges=edges
        )


LOG_FURTHEST = 200.0
"""log |u| of the farthest points if no break is far out: a quadratic times the density's derivatives is finite."""

LOG_ROUNDING = 37.0
"""A power-law tail of index a beyond x · exp(37 / a) is below rounding error, relative to the tail beyond x."""


@dataclass(frozen=True)
class HeavyTailed(LocationScale):
    """Families with power-law tails: the points of `line` are loc + scale · sinh u.

    Class attribute `slack`: float64 holds the derivatives of the density while |z|^(index + slack) is a float64.
    """

    light_tailed = False
    slack: ClassVar[float] = 2.0

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        at, end = [((point - loc) / scale).asinh() for point in breaks], torch.full_like(loc, 150 * 1.2**level)
        index = self.index(parameters).detach()
        limit = torch.maximum(end, tails_end(at, index, LOG_MOST / (index + self.slack)))
        return panelled(lambda u: loc + scale * u.sinh(), -end, end, at, level, panels=120, limits=(-limit, limit))

    @abstractmethod
    def index(self, parameters: Tensors) -> Tensor:
        """Returns a, with P(|z| > x) ∝ x^−a far out."""


def tails_end(at: list[Tensor], index: Tensor, furthest: Tensor) -> Tensor:
    """Returns the |u| at which the tails end: `LOG_FURTHEST`, or so far beyond the farthest break that the rest rounds.

    Raises NotImplementedError for a break so far out that this is beyond `furthest`.
    """
    beyond = LOG_ROUNDING / index
    refuse_beyond(at, beyond - furthest, furthest - beyond)
    return torch.stack([torch.full_like(index, LOG_FURTHEST), *(each.abs() + beyond for each in at)]).amax(0)


@distributions.register("student_t")
@dataclass(frozen=True)
class StudentTFamily(HeavyTailed):
    """Student's t with df degrees of freedom, df in θ. `extreme`: df from 2.2 to 3, so no fourth moment.

    Its pathwise gradient in df uses torch's approximate gradient of the Gamma.
    """

    used_by = "robust regression, heavy-tailed policies and returns"
    kind = StudentT
    moments = 2.1
    pathwise_tolerance = 5e-4
    domains: ClassVar[dict[str, Domain]] = {"df": "positive", "loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"df": (1.6, 2.3), "loc": (-0.5, 0.9), "scale": (-0.9, -0.1)},
        "extreme": {"df": (0.8, 1.1), "loc": (-0.5, 0.9), "scale": (-0.9, -0.1)},
    }

    def index(self, parameters: Tensors) -> Tensor:
        return parameters["df"]

    def mean_cosine(self, parameters: Tensors, frequency: float, level: int) -> Tensor:
        """Returns cos(ω loc) · E exp(−ω² scale² / 2g), g ~ Gamma(df/2, df/2): z is Normal with a Gamma precision."""
        half = parameters["df"] / 2
        fixed = half.detach()
        g, weight = gamma_line(fixed, fixed, (), level)
        density = Gamma(half, half, validate_args=False).log_prob(g).exp()
        spread = (frequency * parameters["scale"]).square() / 2
        return (weight * density * (-spread / g).exp()).sum(0) * (frequency * parameters["loc"]).cos()


class FarCauchy(Cauchy):
    """torch's Cauchy with a density whose derivatives hold far out, where u⁻⁶ is below the smallest float64."""

    offers_as = Cauchy

    def log_prob(self, value: Tensor) -> Tensor:
        u = (value - self.loc) / self.scale
        return -self.scale.log() - 2 * torch.hypot(torch.ones_like(u), u).log() - math.log(math.pi)


@distributions.register("cauchy")
@dataclass(frozen=True)
class CauchyFamily(HeavyTailed):
    """Cauchy variables have no mean: the gradient of a bounded objective exists, that of a linear one does not."""

    used_by = "heavy-tailed exploration, robustness checks of estimators"
    kind = FarCauchy
    moments = 1.0
    slack = 1.0

    def index(self, parameters: Tensors) -> Tensor:
        return torch.ones_like(parameters["loc"])

    def mean_cosine(self, parameters: Tensors, frequency: float, level: int) -> Tensor:
        return (-frequency * parameters["scale"]).exp() * (frequency * parameters["loc"]).cos()
