"""Fitting an estimator once, before it is measured, and what that cost."""

import time
from copy import copy
from typing import Any

import torch
from torch import Tensor

from bench.gradients import Gradients
from bench.metrics import Measurement
from bench.problem import Problem
from estimators.core import Estimator, Fitted, Objective


def fitted(
    problem: Problem,
    estimator: Estimator,
    samples: int,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
) -> tuple[Estimator, tuple[Measurement, ...]]:
    """The estimator, tuned where it has something to tune, at the problem's θ; uses torch's generator."""
    if not isinstance(estimator, Fitted) or estimator.state is not None:
        return estimator, ()
    gradients = Gradients(problem, estimator, samples, device=device, dtype=dtype)
    q = problem.build(gradients.parameters)
    function, calls = counting(gradients.function)
    start = time.perf_counter()
    learned = estimator.fit(q, function, samples, estimator.steps)
    seconds = time.perf_counter() - start
    return learned, (
        Measurement("fit_seconds", seconds, method="wall time, once"),
        Measurement("fit_evaluations", float(calls[0]), method="calls counted"),
    )


def counting(f: Objective) -> tuple[Objective, list[int]]:
    """A copy of f, of f's own class, that adds up the values it returns per datum, and the sum."""
    calls, held = [0], [False]

    def call(self: Objective, z: Tensor, q: Any = None) -> Tensor:
        value = type(f).__call__(self, z, q)
        calls[0] += 0 if held[0] else evaluations(value, q)
        return value

    def call_held(self: Objective, z: Tensor, q: Any) -> Tensor:
        held[0] = True
        value = type(f).held(self, z, q)
        held[0] = False
        calls[0] += evaluations(value, q)
        return value

    counted = copy(f)
    counted.__class__ = type(type(f).__name__, (type(f),), {"__call__": call, "held": call_held})
    return counted, calls


def evaluations(value: Tensor, q: Any) -> int:
    """How many draws a value `[*sample, *batch]` stands for; data in the batch count once together."""
    return value.numel() // max(q.batch_shape.numel(), 1) if q is not None else value.numel()
