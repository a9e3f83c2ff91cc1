"""Independent Normals with a fixed scale, as in evolution strategies and randomised smoothing."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.distributions.base import distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.normal import FastNormal
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors


class LocationNormal(FastNormal):
    """A Normal that declares that only its location is learned."""

    learns = ("loc",)


@distributions.register("normal_location")
@dataclass(frozen=True)
class NormalLocationFamily(Univariate):
    """`size` independent Normals with scale `sigma`; θ is loc alone, so E f is a smoothed f, as a function of loc."""

    used_by = "evolution strategies, randomised smoothing, policy search in parameter space"
    discrete = False
    reparameterised = True
    values = "real"
    kind = LocationNormal
    domains: ClassVar[dict[str, Domain]] = {"loc": "real"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"loc": (-0.6, 1.2)}, "extreme": {"loc": (0.39, 0.46)}}

    sigma: float = 0.5

    def marginals(self, parameters: Tensors) -> LocationNormal:
        loc = parameters["loc"]
        return LocationNormal(loc, loc.new_full((), self.sigma).expand_as(loc), validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc = parameters["loc"]
        return location_scale(loc, loc.new_full((), self.sigma).expand_as(loc), breaks, level)
