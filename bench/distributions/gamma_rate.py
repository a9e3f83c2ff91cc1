"""Independent Gammas with a fixed concentration: only the rate is learned."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import Gamma

from bench.distributions.base import distributions
from bench.distributions.line_rules import gamma_line
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors


class RateGamma(Gamma):
    """A Gamma that declares that only its rate is learned."""

    learns = ("rate",)


@distributions.register("gamma_rate")
@dataclass(frozen=True)
class GammaRateFamily(Univariate):
    """`size` independent Gammas with one `concentration`; θ is log_rate or rate: E f as a function of the time scale.

    The pathwise gradient is exact: torch approximates only dz/dα. `extreme`: rates from 0.5 to 90
    (far smaller rates spread z over hundreds of a cosine's periods, which no rule here resolves).
    """

    used_by = "waiting times of several stages, sensitivity to a service rate (Pflug 1989)"
    discrete = False
    reparameterised = True
    values = "real"
    kind = RateGamma
    domains: ClassVar[dict[str, Domain]] = {"rate": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"rate": (0.9, 1.8)}, "extreme": {"rate": (-0.7, 4.5)}}

    concentration: float = 1.5

    def marginals(self, parameters: Tensors) -> RateGamma:
        rate = parameters["rate"]
        return RateGamma(rate.new_full((), self.concentration).expand_as(rate), rate, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        rate = parameters["rate"].detach()
        return gamma_line(rate.new_full((), self.concentration).expand_as(rate), rate, breaks, level)
