"""Independent counts: Geometric, Binomial, negative Binomial, Poisson."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Binomial, Distribution, Geometric, NegativeBinomial, Poisson
from torch.nn.functional import logsigmoid

from bench.distributions.base import distributions
from bench.distributions.line_rules import UNDERFLOW, counted
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput


@dataclass(frozen=True)
class Counts(Univariate):
    """Families with an independent count per coordinate."""

    discrete = True
    reparameterised = False
    values = "counts"


@distributions.register("geometric")
@dataclass(frozen=True)
class GeometricFamily(Counts):
    """Failures before the first success; θ is the logits or probs of success. `extreme`: probs from 0.02 to 0.98."""

    used_by = "adaptive computation time, stopping problems, run lengths"
    kind = Geometric
    domains: ClassVar[dict[str, Domain]] = {"logits": "logits"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"logits": (-1.1, 0.7)}, "extreme": {"logits": (-3.9, 4.2)}}

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        logits = parameters["logits"].detach()
        each = -1 / logsigmoid(-logits)  # this many failures divide the mass by e
        return counted(50 * each, UNDERFLOW * each, breaks, level)


@distributions.register("binomial")
@dataclass(frozen=True)
class BinomialFamily(Counts):
    """Successes in `trials` trials; θ is the logits or probs of a success. `extreme`: logits from −5 to 4.4."""

    used_by = "pooled bits, population models, ordinal latents"
    kind = Binomial
    domains: ClassVar[dict[str, Domain]] = {"logits": "logits"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"logits": (-0.9, 0.8)}, "extreme": {"logits": (-5.0, 4.4)}}

    trials: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trials < 1:
            raise BadInput(f"binomial needs at least 1 trial, not {self.trials}")

    def marginals(self, parameters: Tensors) -> Distribution:
        logits = parameters["logits"]
        trials = torch.full_like(logits, self.trials)  # a Python number would be copied to the device at every step
        return Binomial(trials, logits=logits, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        last = torch.full_like(parameters["logits"].detach(), self.trials)
        return counted(last, last, breaks, max(level, 0))


@distributions.register("negative_binomial")
@dataclass(frozen=True)
class NegativeBinomialFamily(Counts):
    """A Poisson count whose rate is Gamma; θ is total_count and the logits or probs.

    `extreme`: total_count from 0.1 to 0.3, so most draws are 0.
    """

    used_by = "overdispersed counts: gene expression (scVI), demand"
    kind = NegativeBinomial
    domains: ClassVar[dict[str, Domain]] = {"total_count": "positive", "logits": "logits"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"total_count": (0.4, 1.4), "logits": (-0.8, 0.3)},
        "extreme": {"total_count": (-2.3, -1.2), "logits": (-0.8, 2.1)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        count, logits = (parameters[name].detach() for name in ("total_count", "logits"))
        each = -1 / logsigmoid(logits)  # this many failures divide the mass by e, far out
        return counted(6 * (count + 12) * each, (6 * count + UNDERFLOW) * each, breaks, level)


@distributions.register("poisson")
@dataclass(frozen=True)
class PoissonFamily(Univariate):
    """`size` independent counts; θ is log_rate, or rate in natural coordinates.

    `extreme`: rates from 0.02 to 90.
    """

    used_by = "event counts, queues, neural spike trains (Vaishnav 2023); discrete simulation"
    discrete = True
    reparameterised = False
    values = "counts"
    kind = Poisson
    domains: ClassVar[dict[str, Domain]] = {"rate": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {"default": {"rate": (-0.4, 1.5)}, "extreme": {"rate": (-3.9, 4.5)}}

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns 0, 1, … up to k with k (log(k/rate) − 1) > 760, where the mass is below the smallest float64."""
        rate = parameters["rate"].detach()
        return counted(rate + 12 * rate.sqrt() + 40, math.e**2 * rate + UNDERFLOW, breaks, level)
