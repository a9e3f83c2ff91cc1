"""Objectives by name."""

from bench.objectives import bits, logistic_regression, sequences, vae  # noqa: F401  (register their objectives)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
