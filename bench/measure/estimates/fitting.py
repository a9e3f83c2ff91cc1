"""Fitting an estimator once, before it is measured, and what that cost."""

import time

import torch

from bench.measure.estimates.calls import counting
from bench.measure.estimates.gradients import Gradients
from bench.problems.problem import Problem
from bench.tables.metrics import Measurement
from estimators.core import Estimator, Fitted


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
    function, tally = counting(gradients.function)
    start = time.perf_counter()
    learned = estimator.fit(q, function, samples, estimator.steps)
    seconds = time.perf_counter() - start
    return learned, (
        Measurement("fit_seconds", seconds, method="wall time, once"),
        Measurement("fit_evaluations", float(tally.values), method="calls counted"),
    )
