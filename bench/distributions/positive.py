"""Independent positive variables other than Gamma: Exponential, Weibull, log-Normal."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Exponential, LogNormal, Weibull

from bench.distributions.base import distributions
from bench.distributions.line_rules import UNDERFLOW, panelled, positive, refuse_beyond
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors

LOG_UNDERFLOW = math.log(UNDERFLOW)
"""The u above which exp(−eᵘ) is below the smallest float64."""


@dataclass(frozen=True)
class Positive(Univariate):
    """Families with an independent positive number per coordinate."""

    discrete = False
    reparameterised = True
    values = "real"


@distributions.register("exponential")
@dataclass(frozen=True)
class ExponentialFamily(Positive):
    """Waiting times; θ is log_rate or rate. `extreme`: rates from 0.02 to 90."""

    used_by = "waiting times, queues, survival"
    kind = Exponential
    domains: ClassVar[dict[str, Domain]] = {"rate": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"rate": (-0.5, 0.9)}, "extreme": {"rate": (-3.9, 4.5)}}

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        log_rate = parameters["rate"].detach().log()
        limits = -UNDERFLOW - log_rate, LOG_UNDERFLOW - log_rate
        return positive(-45 - log_rate, 4.2 - log_rate, breaks, level, limits=limits)

    def mean_cosine(self, parameters: Tensors, frequency: float, level: int) -> Tensor:
        rate = parameters["rate"].square()
        return rate / (rate + frequency**2)


@distributions.register("weibull")
@dataclass(frozen=True)
class WeibullFamily(Positive):
    """Times to failure; θ is scale and concentration k, with a falling rate if k < 1. `extreme`: k from 0.5 to 0.7."""

    used_by = "reliability and survival; a reparameterised stand-in for Gamma (Zhang 2018)"
    kind = Weibull
    domains: ClassVar[dict[str, Domain]] = {"scale": "positive", "concentration": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"scale": (-0.4, 0.6), "concentration": (0.1, 0.9)},
        "extreme": {"scale": (-2.5, -1.8), "concentration": (-0.7, -0.4)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        log_scale, k = parameters["scale"].detach().log(), parameters["concentration"].detach()
        limits = log_scale - 340 / k, log_scale + LOG_UNDERFLOW / k  # torch divides by (z / scale)^2k
        at = [log_scale.new_tensor(point).log() for point in breaks if point > 0]
        refuse_beyond(at, limits[0], torch.full_like(k, torch.inf))
        return positive(log_scale - 45 / k, log_scale + 4.2 / k, breaks, level, panels=240, limits=limits)


@distributions.register("log_normal")
@dataclass(frozen=True)
class LogNormalFamily(Positive):
    """The exponential of a Normal; θ is its loc and scale. `extreme`: scales from 0.01 to 0.05."""

    used_by = "asset prices (Black, Scholes 1973), positive latents"
    kind = LogNormal
    domains: ClassVar[dict[str, Domain]] = {"loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"loc": (-0.6, 0.5), "scale": (-0.9, -0.3)},
        "extreme": {"loc": (-0.96, -0.85), "scale": (-4.6, -3.0)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        at = [torch.full_like(loc, point).log() for point in breaks if point > 0]
        (low, high), limits = ((loc - reach * scale, loc + reach * scale) for reach in (12, 40))
        return panelled(torch.exp, low, high, at, level, panels=120, limits=limits)
