"""Objectives by name."""

from bench.objectives import (  # noqa: F401  (register their objectives)
    accepted_answers,
    belief_net,
    coupled,
    curved,
    discontinuous,
    importance,
    kinked,
    landscapes,
    linear_regression,
    logistic_regression,
    mixture,
    permutations,
    portfolio_options,
    quadratic_bits,
    queue,
    returns,
    right_answers,
    sequences,
    sets_of_draws,
    smooth,
    structured,
    vae,
    vae_weights,
)
from bench.objectives.base import Target, objectives

__all__ = ["Target", "objectives"]
