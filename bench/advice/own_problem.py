"""A user's model as a `Problem`, on which the batched road measures."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor
from torch.distributions import Distribution

from bench.advice.own_model import OwnModel
from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target
from bench.problems.problem import Problem
from estimators.core import Objective
from estimators.tools.parameters import parameters, rebuild


@dataclass(frozen=True, eq=False)
class OwnFamily(Family):
    """`distribution(θ)`; the batch axes of what it returns run over data, and the target is their mean."""

    name: ClassVar[str] = "own"
    used_by: ClassVar[str] = "the user"
    discrete: ClassVar[bool] = False
    reparameterised: ClassVar[bool] = False

    model: Any = None
    data_axes: int = 0  # pyright: ignore[reportIncompatibleVariableOverride]

    def theta(self, point: str, coordinates: str) -> Tensors:
        return self.model.theta

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return parameters(self.model.distribution(theta))

    @cached_property
    def pattern(self) -> Distribution:
        """q at θ: what is rebuilt at other parameters."""
        return self.model.distribution(self.model.theta)

    def build(self, parameters: Tensors) -> Distribution:
        return rebuild(self.pattern, parameters)


@dataclass(frozen=True, eq=False)
class OwnTarget(Target):
    """The user's objective."""

    name: ClassVar[str] = "own"
    used_by: ClassVar[str] = "the user"

    function: Any = None

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return self.function


def own_problem(model: OwnModel) -> Problem:
    """The problem whose gradient is that of the mean over q's batch axes."""
    family = OwnFamily(model=model, data_axes=len(model.distribution(model.theta).batch_shape))
    return Problem(family, OwnTarget(function=model.objective), "own", "own")
