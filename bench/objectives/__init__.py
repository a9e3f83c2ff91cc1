"""Objectives by name."""

from bench.objectives import (  # noqa: F401  (register their objectives)
    belief_net,
    bits,
    coupled,
    curved,
    kinked,
    landscapes,
    linear_regression,
    logistic_regression,
    mixture,
    permutations,
    returns,
    sequences,
    smooth,
    step,
    vae,
)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
