"""Objectives by name."""

from bench.objectives import (  # noqa: F401  (register their objectives)
    bits,
    logistic_regression,
    returns,
    sequences,
    vae,
)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
