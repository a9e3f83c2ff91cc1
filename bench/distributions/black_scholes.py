"""Log prices in the Black-Scholes model: independent assets at one date, or one asset at several dates."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.normal import FastNormal
from bench.numerics.tensors import Tensors

RATE, MATURITY = 0.05, 1.0
"""Interest rate per year, and years to maturity."""


@distributions.register("black_scholes")
@dataclass(frozen=True)
class BlackScholesFamily(Family):
    """z = log S_T ~ N(log spot + (r − volatility²/2) T, volatility² T), r = 0.05, T = 1; θ: spot, volatility.

    With `size` 1: spot 100, volatility 0.2, the textbook case. `extreme`: volatilities from 0.02 to 0.05.
    """

    used_by = "option pricing and its sensitivities (Black, Scholes 1973; Broadie, Glasserman 1996)"
    discrete = False
    reparameterised = True
    coordinates: ClassVar[tuple[str, ...]] = ("natural",)
    points = ("default", "extreme")
    values = "other"

    size: int = 1

    def theta(self, point: str, coordinates: str) -> Tensors:
        spot, low, high = {"default": (100.0, 0.2, 0.35), "extreme": (97.0, 0.02, 0.05)}[point]
        return {
            "spot": torch.linspace(spot, spot + 4, self.size, dtype=torch.float64),
            "volatility": torch.linspace(low, high, self.size, dtype=torch.float64),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        volatility = theta["volatility"]
        drift = (RATE - volatility.square() / 2) * MATURITY
        return {"loc": theta["spot"].log() + drift, "scale": volatility * MATURITY**0.5}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return FastNormal(**parameters, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return location_scale(parameters["loc"], parameters["scale"], breaks, level)


@distributions.register("black_scholes_path")
@dataclass(frozen=True)
class BlackScholesPathFamily(Family):
    """One asset at `size` equally spaced dates up to T: log S at date d is z_0 + … + z_d, with independent steps.

    z_d ~ N((r − volatility²/2) T/size, volatility² T/size); log spot is added to z_0. θ is one spot and one
    volatility, 100 and 0.2; `extreme`: a volatility of 0.03.
    """

    used_by = "path-dependent options and their sensitivities (Glasserman 2004, chapter 7)"
    discrete = False
    reparameterised = True
    coordinates: ClassVar[tuple[str, ...]] = ("natural",)
    points = ("default", "extreme")
    values = "other"

    size: int = 3

    def theta(self, point: str, coordinates: str) -> Tensors:
        spot, volatility = {"default": (100.0, 0.2), "extreme": (97.0, 0.03)}[point]
        theta = {"spot": spot, "volatility": volatility}
        return {name: torch.tensor([value], dtype=torch.float64) for name, value in theta.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        volatility = theta["volatility"].expand(self.size)
        step = MATURITY / self.size
        first = torch.eye(self.size, device=volatility.device, dtype=volatility.dtype)[0]
        drift = (RATE - volatility.square() / 2) * step
        return {"loc": drift + first * theta["spot"].log(), "scale": volatility * step**0.5}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return FastNormal(**parameters, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return location_scale(parameters["loc"], parameters["scale"], breaks, level)
