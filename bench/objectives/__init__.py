"""Objectives by name."""

from bench.objectives import (  # noqa: F401  (register their objectives)
    bits,
    coupled,
    linear_regression,
    logistic_regression,
    returns,
    sequences,
    smooth,
    step,
    vae,
)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
