"""Objectives by name."""

from bench.objectives import bits  # noqa: F401  (registers its objectives)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
