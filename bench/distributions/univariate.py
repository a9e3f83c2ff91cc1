"""Families of independent coordinates, each with a univariate torch distribution."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors

Domain = Literal["real", "positive", "logits"]
Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Univariate(Family):
    """`size` independent draws of `kind`, one parameter value per coordinate.

    `domains`: the domain of each of torch's parameters. A `real` parameter is the same in both coordinates; a
    `positive` x is log_x when unconstrained; `logits` are probs in natural coordinates. `ranges`: each point's
    unconstrained θ, from the first coordinate to the last, in equal steps.
    """

    kind: ClassVar[type[Distribution]]
    domains: ClassVar[dict[str, Domain]]
    ranges: ClassVar[dict[str, Ranges]]
    points: ClassVar[tuple[str, ...]] = ("default", "extreme")

    def theta(self, point: str, coordinates: str) -> Tensors:
        values = self.ranges[point]
        free = {name: torch.linspace(*values[name], self.size, dtype=torch.float64) for name in self.domains}
        if coordinates == "unconstrained":
            return {unconstrained(name, kind): free[name] for name, kind in self.domains.items()}
        return {natural(name, kind): _natural(free[name], kind) for name, kind in self.domains.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        if coordinates == "unconstrained":
            return {name: _torch(theta[unconstrained(name, kind)], kind) for name, kind in self.domains.items()}
        values = {name: theta[natural(name, kind)] for name, kind in self.domains.items()}
        return {name: value.logit() if self.domains[name] == "logits" else value for name, value in values.items()}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return self.kind(**parameters, validate_args=False)  # type: ignore[call-arg]


def unconstrained(name: str, domain: Domain) -> str:
    """Returns the name of a torch parameter in unconstrained coordinates.

    >>> unconstrained("scale", "positive")
    'log_scale'
    """
    return f"log_{name}" if domain == "positive" else name


def natural(name: str, domain: Domain) -> str:
    """Returns the name of a torch parameter in natural coordinates.

    >>> natural("logits", "logits")
    'probs'
    """
    return "probs" if domain == "logits" else name


def _natural(free: Tensor, domain: Domain) -> Tensor:
    return {"real": free.clone, "positive": free.exp, "logits": free.sigmoid}[domain]()


def _torch(free: Tensor, domain: Domain) -> Tensor:
    return free.exp() if domain == "positive" else free
