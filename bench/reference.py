"""The exact gradient of a problem, by the best rung of a ladder, with its error and its method."""

from dataclasses import dataclass

import torch

from bench.distributions.base import Tensors
from bench.problem import Problem


@dataclass(frozen=True)
class Reference:
    """The gradient in θ by block, a bound (or standard error) of each coordinate's error, and how it was got."""

    gradient: Tensors
    error: Tensors
    method: str


def reference(problem: Problem) -> Reference | None:
    """The exact gradient of `problem`, or None where no rung of the ladder reaches it."""
    theta = problem.theta()

    def separable(values: Tensors) -> torch.Tensor:
        parameters = problem.encode(values)
        z, weight = problem.family.line(parameters, problem.objective.breaks, 0)
        density = problem.family.marginals(parameters).log_prob(z).exp()
        return problem.reduce((weight * density * problem.objective.terms(z)).sum((0, -1)))

    gradient = torch.func.grad(separable)(theta)
    zero = {name: torch.zeros_like(value) for name, value in gradient.items()}
    return Reference(gradient, zero, "separable")
