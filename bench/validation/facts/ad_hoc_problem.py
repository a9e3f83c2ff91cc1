"""Ad-hoc problems outside the registries: any θ, any map from θ to q, any f."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from bench.distributions.base import Family
from bench.distributions.bernoulli import Bernoulli
from bench.distributions.normal import FastNormal
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target
from bench.problems.problem import Problem
from estimators.core import Function, Objective


@dataclass(frozen=True, eq=False)
class PosedFamily(Family):
    """The family of one θ: `moved` maps θ to the parameters, and `made` builds the distribution from them."""

    name = "posed"
    used_by = "the facts"
    discrete = False
    reparameterised = True

    at: Tensors = field(default_factory=dict)
    made: Callable[[Tensors], Distribution] = lambda parameters: FastNormal(parameters["loc"], parameters["scale"])
    moved: Callable[[Tensors], Tensors] = lambda theta: theta
    batch_axes: int = 0

    @property
    def data_axes(self) -> int:  # type: ignore[override]
        return self.batch_axes

    def theta(self, point: str, coordinates: str) -> Tensors:
        return self.at

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return self.moved(theta)

    def build(self, parameters: Tensors) -> Distribution:
        return self.made(parameters)


@dataclass(frozen=True, eq=False)
class PosedTarget(Target):
    """Wraps a given objective."""

    name = "posed"
    used_by = "the facts"

    f: Objective = field(default_factory=lambda: Function(lambda z: z.sum(-1)))

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return self.f


def posed(
    made: Callable[[Tensors], Distribution],
    theta: Tensors,
    f: Objective | Callable[[Tensor], Tensor],
    moved: Callable[[Tensors], Tensors] = lambda theta: theta,
    data_axes: int = 0,
) -> Problem:
    """Returns the problem ∇θ E f(z), z ~ made(moved(θ)).

    >>> from bench.problems.exact import reference
    >>> problem = posed(bits, {"logits": double(0.0)}, lambda b: 4 * b.sum(-1))
    >>> reference(problem).gradient["logits"]
    tensor([1.], dtype=torch.float64)
    """
    objective = f if isinstance(f, Objective) else Function(f)
    return Problem(PosedFamily(at=theta, made=made, moved=moved, batch_axes=data_axes), PosedTarget(f=objective))


def double(*values: float) -> Tensor:
    """Returns a float64 vector."""
    return torch.tensor(values, dtype=torch.float64)


def bits(parameters: Tensors) -> Distribution:
    """Returns independent bits with the parameter `logits`."""
    return Independent(Bernoulli(logits=parameters["logits"], validate_args=False), 1, validate_args=False)


def normal(parameters: Tensors) -> Distribution:
    """Returns independent Normals with the parameters `loc` and `scale`."""
    return Independent(FastNormal(**parameters, validate_args=False), 1, validate_args=False)
