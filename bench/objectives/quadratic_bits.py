"""Test functions of bits."""

from dataclasses import dataclass

from torch import Tensor

from bench.distributions.base import Family
from bench.objectives.base import Target, objectives


@objectives.register("quadratic_bits")
@dataclass(frozen=True)
class QuadraticBits(Target):
    """mean((b − t)²): the toy problem of REBAR, RELAX, ARM, DisARM and the double control variate.

    Tucker et al. 2017, section 5.1. Between 0 and 1 it is this polynomial, not its multilinear extension.
    """

    used_by = "the toy problem of most papers on discrete gradients"
    separable = True

    t: float = 0.45

    def terms(self, z: Tensor) -> Tensor:
        return (z - self.t).square() / z.shape[-1]

    def fits(self, family: Family) -> str | None:
        return None if family.values == "bits" else "is a function of bits"
