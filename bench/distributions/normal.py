"""Independent Normals."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Normal

from bench.distributions.base import distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors


class FastNormal(Normal):
    """torch's Normal, sampled as loc + scale · randn: faster than `torch.normal`, and it compiles."""

    offers_as = Normal

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.randn(
            self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device
        )
        return self.loc + self.scale * noise


@distributions.register("normal")
@dataclass(frozen=True)
class NormalFamily(Univariate):
    """`size` independent Normals; θ is loc and log_scale, or loc and scale in natural coordinates.

    `extreme`: scales from 0.01 to 0.05, near the jump of `step`.
    """

    used_by = "variational inference, VAEs, continuous policies"
    discrete = False
    reparameterised = True
    values = "real"
    kind = FastNormal
    domains: ClassVar[dict[str, Domain]] = {"loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"loc": (-0.6, 1.2), "scale": (-0.6, 0.3)},
        "extreme": {"loc": (0.39, 0.46), "scale": (-4.6, -3.0)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        return location_scale(parameters["loc"], parameters["scale"], breaks, level)
