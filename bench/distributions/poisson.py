"""Independent Poisson counts."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import Poisson

from bench.distributions.base import Tensors, distributions
from bench.distributions.supports import counted
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
        rate = parameters["rate"]
        largest = rate.detach().max()
        return counted(float(largest + 12 * largest.sqrt() + 40) * 2.0**level, rate)
