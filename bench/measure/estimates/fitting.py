"""Fits an estimator once, before it is measured, and measures the cost of fitting."""

import time

from bench.measure.estimates.calls import counting
from bench.measure.estimates.gradients import Gradients
from bench.tables.metrics import Measurement
from estimators.core import Estimator, Fitted


def fitted(gradients: Gradients) -> tuple[Estimator, tuple[Measurement, ...]]:
    """Returns the estimator of `gradients`, fitted at the problem's θ if it needs fitting, and the rows of the cost.

    Draws from torch's generator.
    """
    estimator, samples = gradients.estimator, gradients.samples
    if not isinstance(estimator, Fitted) or estimator.state is not None:
        return estimator, ()
    q = gradients.problem.build(gradients.parameters)
    function, tally = counting(gradients.function)
    start = time.perf_counter()
    learned = estimator.fit(q, function, samples, estimator.steps)
    seconds = time.perf_counter() - start
    return learned, (
        Measurement("fit_seconds", seconds, method="wall time, once"),
        Measurement("fit_evaluations", float(tally.values), method="calls counted"),
    )
