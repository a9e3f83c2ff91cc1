"""Normals whose location depends on a hidden Normal: z alone has no usable density; z with the hidden variable has.

w ~ N(0, 1);  z_d | w ~ N(loc_d + bend_d · sin(2w + d), scale_d²). The density of z is an integral over w.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.affine_flow import grid
from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import panelled
from bench.distributions.normal_mixture import NormalMixture
from bench.numerics.constants import LOG_2PI
from bench.numerics.quadrature import REACH, legendre
from bench.numerics.tensors import Tensors
from estimators.traits import Need

PANELS = 40
"""Panels of 20 nodes each, over w."""


class LatentJoint(Distribution):
    """The joint distribution of z and w: a draw is z followed by w, `[*batch, D + 1]`; parameters `[*batch, D]`."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real_vector,
        "bend": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector  # type: ignore[assignment]
    has_rsample = True
    offers = frozenset({Need.DENSITY, Need.REPARAMETERISED})
    offers_not = frozenset({Need.FACTORISED, Need.MEAN, Need.MODE})
    hidden = 1

    def __init__(self, loc: Tensor, bend: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.bend, self.scale = loc, bend, scale
        super().__init__(loc.shape[:-1], torch.Size((loc.shape[-1] + self.hidden,)), validate_args)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, self.loc.shape[-1] + 1)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.push(noise[..., :-1], noise[..., -1:])

    def push(self, own: Tensor, latent: Tensor) -> Tensor:
        """Returns the draw given each coordinate's noise and w."""
        return torch.cat([self.given(latent) + self.scale * own, latent.expand(*own.shape[:-1], 1)], -1)

    def given(self, latent: Tensor) -> Tensor:
        """Returns E[z | w]."""
        place = torch.arange(self.loc.shape[-1], dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.bend * (2 * latent + place).sin()

    def log_prob(self, value: Tensor) -> Tensor:
        z, latent = value[..., :-1], value[..., -1:]
        u = (z - self.given(latent)) / self.scale
        return -(u.square() + LOG_2PI).sum(-1) / 2 - self.scale.log().sum(-1) - (latent[..., 0].square() + LOG_2PI) / 2


class LatentMarginal(LatentJoint):
    """The distribution of z alone, `[*batch, D]`: reparameterised draws, but no density."""

    offers = frozenset({Need.REPARAMETERISED})
    offers_not = frozenset({Need.DENSITY, Need.FACTORISED, Need.MEAN, Need.MODE})
    hidden = 0

    def push(self, own: Tensor, latent: Tensor) -> Tensor:
        return super().push(own, latent)[..., :-1]

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError("the density of z is an integral over its latent variable")


@dataclass(frozen=True)
class Latent(Family):
    """`size` coordinates that share a hidden Normal; θ is loc, bend and log_scale."""

    discrete = False
    factorised = False
    reparameterised = True
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points = ("default", "extreme")
    values = "real"
    kind: ClassVar[type[LatentJoint]]

    size: int = 3

    def theta(self, point: str, coordinates: str) -> Tensors:
        bend, scale = {"default": ((0.9, 0.4), (-0.9, -0.1)), "extreme": ((1.5, 0.8), (-2.0, -1.4))}[point]
        return {
            "loc": torch.linspace(-0.6, 1.2, self.size, dtype=torch.float64),
            "bend": torch.linspace(*bend, self.size, dtype=torch.float64),
            "log_scale": torch.linspace(*scale, self.size, dtype=torch.float64),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"loc": theta["loc"], "bend": theta["bend"], "scale": theta["log_scale"].exp()}

    def build(self, parameters: Tensors) -> Distribution:
        return self.kind(**parameters, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        """Returns the distribution of each coordinate of z: a mixture of Normals over w, with 800 nodes."""
        latent, weight = legendre(-REACH, REACH, PANELS)
        log_weight = weight.log() - latent.square() / 2
        q = self.kind(**parameters, validate_args=False)
        place = q.given(latent.reshape(-1, *(1 for _ in q.loc.shape))).movedim(0, -1)
        scale = parameters["scale"][..., None].expand_as(place)
        return NormalMixture(log_weight.expand_as(place), place, scale, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, bend, scale = (parameters[name].detach() for name in ("loc", "bend", "scale"))
        reach, limit = bend.abs() + 12 * scale, bend.abs() + 40 * scale
        at, edges = [torch.full_like(loc, point) for point in breaks], [loc - bend, loc + bend]
        limits = (loc - limit, loc + limit)
        return panelled(lambda z: z, loc - reach, loc + reach, at, level, panels=24, limits=limits, edges=edges)

    def covariance(self, parameters: Tensors) -> Tensor:
        """Returns it by E sin(2w + a) sin(2w + b) = ½ [cos(a − b) − e^{−8} cos(a + b)]."""
        place = torch.arange(self.size, dtype=torch.float64)
        a, b = place[:, None], place
        shared = ((a - b).cos() - math.exp(-8) * (a + b).cos()) / 2 - math.exp(-4) * a.sin() * b.sin()
        bend = parameters["bend"]
        return bend[..., :, None] * bend[..., None, :] * shared + torch.diag_embed(parameters["scale"].square())

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Tensor]:
        """Returns a rule over two noises, for w and for all of z: right for sums of one-coordinate terms."""
        noise, weight = grid(2, level)
        return self.build(parameters).push(noise[:, :1].expand(-1, self.size), noise[:, 1:]), weight  # type: ignore[attr-defined]


@distributions.register("latent_marginal")
@dataclass(frozen=True)
class LatentMarginalFamily(Latent):
    """z without its hidden variable: no density, so no log-derivative trick; pathwise gradients need none.

    `extreme`: narrow Normals along a curve, two humps each.
    """

    used_by = "hierarchical and semi-implicit variational inference (Ranganath 2016; Yin, Zhou 2018), simulators"
    tractable_density = False
    kind = LatentMarginal


@distributions.register("latent_joint")
@dataclass(frozen=True)
class LatentJointFamily(Latent):
    """z with its hidden variable, which f does not see: here the log-derivative trick works.

    `extreme`: narrow Normals along a curve, two humps each.
    """

    used_by = (
        "simulators with an augmented state (Brehmer 2020), auxiliary-variable variational inference (Maaløe 2016)"
    )
    kind = LatentJoint
    hidden = 1
