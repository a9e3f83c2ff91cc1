"""Independent Poisson counts."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import Poisson

from bench.distributions.base import Tensors, distributions
from bench.distributions.supports import UNDERFLOW, counted
from bench.distributions.univariate import Domain, Ranges, Univariate


@distributions.register("poisson")
@dataclass(frozen=True)
class PoissonFamily(Univariate):
    """`size` independent counts; θ is log_rate, or rate in natural coordinates.

    `extreme`: rates from .02 to 90.
    """

    used_by = "event counts, queues, neural spike trains (Vaishnav 2023); discrete simulation"
    discrete = True
    reparameterised = False
    values = "counts"
    kind = Poisson
    domains: ClassVar[dict[str, Domain]] = {"rate": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"rate": (-0.4, 1.5)}, "extreme": {"rate": (-3.9, 4.5)}}

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Up to k with k (log(k/rate) − 1) > 760: the mass there is below the smallest float64."""
        rate = parameters["rate"].detach()
        return counted(rate + 12 * rate.sqrt() + 40, math.e**2 * rate + UNDERFLOW, breaks, level)
