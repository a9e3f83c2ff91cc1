"""A smooth map of Normal noise that cannot be inverted: it has draws but no density."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.affine_flow import grid
from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import panelled
from bench.distributions.normal_mixture import NormalMixture
from bench.numerics.quadrature import REACH, legendre
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need


class QuadraticMap(Distribution):
    """z_d = loc_d + scale_d · (ε_d + curve_d · ε_{d+1}²), d on a ring of D coordinates; parameters `[*batch, D]`.

    Many ε give the same z, so log q has no usable form: the log-derivative trick does not apply, pathwise does.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
        "curve": constraints.real_vector,
    }
    support = constraints.real_vector  # type: ignore[assignment]
    has_rsample = True
    offers = frozenset({Need.REPARAMETERISED, Need.MEAN})
    offers_not = frozenset({Need.DENSITY, Need.FACTORISED, Need.MODE})

    def __init__(self, loc: Tensor, scale: Tensor, curve: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.curve = loc, scale, curve
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * self.curve

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.push(noise, noise.roll(-1, -1))

    def push(self, own: Tensor, next_one: Tensor) -> Tensor:
        """Returns z from each coordinate's noise and its neighbour's."""
        return self.loc + self.scale * (own + self.curve * next_one.square())


NOISE, SEEN = 14.0, 11.5
"""Standard deviations: 2e-44 of the noise is outside `NOISE` and is cut off: 1e-14 of the mass outside `SEEN`."""


@distributions.register("quadratic_map")
@dataclass(frozen=True)
class QuadraticMapFamily(Family):
    """`size` coordinates, each bent by its neighbour's noise; θ is loc, log_scale and curve. `extreme`: bent more."""

    used_by = "generators and simulators without a density (GANs, implicit variational inference: Titsias, Ruiz 2019)"
    discrete = False
    factorised = False
    reparameterised = True
    tractable_density = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points = ("default", "extreme")
    values = "real"
    light_tailed = False
    pushed_size = 2

    size: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 2:
            raise BadInput(f"quadratic_map needs at least 2 coordinates, not {self.size}")

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high = {"default": (0.2, 0.6), "extreme": (0.9, 1.4)}[point]
        return {
            "loc": torch.linspace(-0.6, 1.2, self.size, dtype=torch.float64),
            "log_scale": torch.linspace(-0.9, -0.1, self.size, dtype=torch.float64),
            "curve": torch.linspace(low, high, self.size, dtype=torch.float64),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"loc": theta["loc"], "scale": theta["log_scale"].exp(), "curve": theta["curve"]}

    def build(self, parameters: Tensors) -> Distribution:
        return QuadraticMap(**parameters, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        """Returns each coordinate's distribution: a mixture of Normals over the neighbour's noise.

        With 900 nodes, because the Normal's location changes fast with the noise where the noise is large.
        """
        noise, weight = legendre(-NOISE, NOISE, 45)
        log_weight = weight.log() - noise.square() / 2
        loc, scale, curve = (parameters[name][..., None] for name in ("loc", "scale", "curve"))
        place = loc + scale * curve * noise.square()
        return NormalMixture(log_weight.expand_as(place), place, scale.expand_as(place), validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns a rule in u = (z − loc)/scale = ε + curve · ε′², from −40 to where ε′ exceeds `NOISE`.

        Raises NotImplementedError for a break so far out that the cut of the neighbour's noise at `NOISE` matters.
        """
        loc, scale, curve = (parameters[name].detach() for name in ("loc", "scale", "curve"))
        at = [(point - loc) / scale for point in breaks]
        if any(bool((each > curve * SEEN**2).any()) for each in at):
            raise NotImplementedError(f"{self.name} has no rule for breaks beyond {SEEN} deviations of its noise")
        low, high = torch.full_like(loc, -REACH), NOISE + curve * NOISE**2
        limits, edges = (torch.full_like(loc, -40.0), high), [torch.full_like(loc, REACH)]
        return panelled(lambda u: loc + scale * u, low, high, at, level, panels=80, limits=limits, edges=edges)

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Tensor]:
        """Returns a rule over two noises a and b: b bends even coordinates, a odd ones; for two coordinates this is z.

        It has four times the nodes of a flow's, because cos(ε²) oscillates fast where ε is large.
        """
        noise, weight = grid(2, level + 2)
        even = torch.arange(self.size) % 2 == 0
        own, other = (torch.where(even, noise[:, i, None], noise[:, 1 - i, None]) for i in (0, 1))
        return QuadraticMap(**parameters, validate_args=False).push(own, other), weight
