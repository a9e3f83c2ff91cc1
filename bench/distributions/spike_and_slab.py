"""Independent coordinates that are either exactly 0 or Normal: neither discrete nor continuous."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from bench.distributions.base import distributions
from bench.distributions.line_rules import location_scale
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors
from estimators.traits import Need


class SpikeAndSlab(Distribution):
    """z = 0 with probability 1 − σ(logits), else N(loc, scale²).

    Its density is with respect to a unit mass at 0 plus Lebesgue measure, which does not depend on θ, so the
    log-derivative trick holds. There is no `rsample`: ∂z/∂logits is 0 almost everywhere, as for a bit.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.real,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real  # type: ignore[assignment]
    offers = frozenset({Need.DENSITY, Need.MEAN})
    offers_not = frozenset({Need.MODE})

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.loc, self.scale = logits, loc, scale
        super().__init__(logits.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid() * self.loc

    @property
    def variance(self) -> Tensor:
        second = self.logits.sigmoid() * (self.loc.square() + self.scale.square())
        return second - self.mean.square()

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        slab = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device) < self.logits.sigmoid()
        return torch.where(slab, self.loc + self.scale * noise, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        u = (value - self.loc) / self.scale
        slab = logsigmoid(self.logits) - u.square() / 2 - self.scale.log() - math.log(2 * math.pi) / 2
        return torch.where(value == 0, logsigmoid(-self.logits), slab)


@distributions.register("spike_and_slab")
@dataclass(frozen=True)
class SpikeAndSlabFamily(Univariate):
    """`size` independent coordinates; θ is the logits (or probs) of not being 0, and the slab's loc and scale.

    `extreme`: slabs with scales from 0.01 to 0.05; the rarest has a probability of 0.02.
    """

    used_by = "sparse regression and sparse codes (Mitchell, Beauchamp 1988; Titsias, Lázaro-Gredilla 2011)"
    discrete = False
    reparameterised = False
    values = "real"
    kind = SpikeAndSlab
    domains: ClassVar[dict[str, Domain]] = {"logits": "logits", "loc": "real", "scale": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"logits": (-0.9, 0.8), "loc": (-0.6, 1.2), "scale": (-0.6, 0.3)},
        "extreme": {"logits": (-3.9, 2.2), "loc": (0.39, 0.46), "scale": (-4.6, -3.0)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns the slab's rule with an edge at 0, and the point 0 with weight 1."""
        z, weight = location_scale(parameters["loc"], parameters["scale"], (0.0, *breaks), level)
        return torch.cat([z, torch.zeros_like(z[:1])]), torch.cat([weight, torch.ones_like(z[:1])])
