"""Independent Gamma variables."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import Gamma

from bench.distributions.base import distributions
from bench.distributions.line_rules import gamma_line
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors


@distributions.register("gamma")
@dataclass(frozen=True)
class GammaFamily(Univariate):
    """`size` independent Gammas; θ is log_concentration and log_rate, or in natural coordinates concentration and rate.

    Its pathwise gradient is torch's approximation of dz/dα, with a relative error of up to 1e-4.
    `extreme`: concentrations from 0.1 to 0.4.
    """

    used_by = "deep exponential families, topic models (Ruiz 2016; Naesseth 2017; Figurnov 2018)"
    discrete = False
    reparameterised = True
    pathwise_tolerance = 5e-4
    values = "real"
    kind = Gamma
    domains: ClassVar[dict[str, Domain]] = {"concentration": "positive", "rate": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"concentration": (-0.3, 1.3), "rate": (0.5, -0.4)},
        "extreme": {"concentration": (-2.3, -0.9), "rate": (0.5, -0.4)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        concentration, rate = (parameters[name].detach() for name in ("concentration", "rate"))
        return gamma_line(concentration, rate, breaks, level)
