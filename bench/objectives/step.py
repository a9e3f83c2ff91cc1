"""Discontinuous test functions."""

from dataclasses import dataclass

from torch import Tensor

from bench.distributions.base import Family
from bench.objectives.base import Target, objectives


@objectives.register("step")
@dataclass(frozen=True)
class Step(Target):
    """Σ 1{z_d > at}: differentiable nowhere that matters, so a pathwise gradient is 0, whatever the truth."""

    used_by = "probabilities of events, digital options, contact in simulation (Suh 2022)"
    separable = True
    differentiable = False
    twice_differentiable = False
    relaxable = False

    at: float = 0.4

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.at,)

    def terms(self, z: Tensor) -> Tensor:
        return (z > self.at).to(z.dtype)

    def fits(self, family: Family) -> str | None:
        return None if family.values in ("real", "counts", "bits", "simplex") else "is a function of real coordinates"
