"""Counting what an estimate costs: calls of f, and of its gradient in z. Calls count, not distinct points."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.gradients import Gradients
from bench.problem import Problem
from estimators.core import Estimator, Objective

ENTRIES = ("__call__", "held", "without_log_q", "log_weight", "held_weight", "each")
"""The methods by which estimators ask objectives for values."""


@dataclass
class Tally:
    """Calls so far, per datum: draws in a batch of data count once together."""

    values: int = 0
    gradients: int = 0
    inside: bool = False


class _Marked(torch.autograd.Function):
    """The identity on z, whose backward pass adds to the tally."""

    @staticmethod
    def forward(z: Tensor, tally: Tally, draws: int) -> Tensor:
        return z.view_as(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tally, int], output: Tensor) -> None:
        _, ctx.tally, ctx.draws = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        ctx.tally.gradients += ctx.draws
        return gradients[0], None, None


def counting(f: Objective) -> tuple[Objective, Tally]:
    """A copy of f, still of f's kind, that keeps a tally of its calls.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> counted, tally = counting(Function(torch.square))
    >>> _ = counted(torch.zeros(7), Normal(0.0, 1.0))
    >>> tally.values
    7
    """
    tally, kind = Tally(), type(f)

    def counted(method: Any) -> Any:
        def call(self: Objective, z: Tensor, q: Distribution) -> Tensor:
            if tally.inside:
                return method(self, z, q)
            draws = z.numel() // max(q.batch_shape.numel() * q.event_shape.numel(), 1)
            tally.values += draws
            tally.inside = True
            try:
                return method(self, _Marked.apply(z, tally, draws), q)
            finally:
                tally.inside = False

        return call

    wrapped = copy(f)
    methods = {name: counted(getattr(kind, name)) for name in ENTRIES if hasattr(kind, name)}
    wrapped.__class__ = type(kind.__name__, (kind,), methods)
    return wrapped, tally


def count(problem: Problem, estimator: Estimator, samples: int) -> tuple[float, float]:
    """Calls of f and of its gradient for one estimate, by one eager pass of its own; keeps torch's generator."""
    with torch.random.fork_rng(devices=[]):
        gradients = Gradients(problem, estimator, samples)
        gradients.function, tally = counting(gradients.function)
        gradients(1)
    return float(tally.values), float(tally.gradients)
