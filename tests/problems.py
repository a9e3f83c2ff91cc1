"""Every family at a small size, every objective that fits it, and their problems."""

from collections.abc import Iterator

from bench.distributions import Family, distributions
from bench.distributions.univariate import Univariate
from bench.objectives import objectives
from bench.problem import Problem

SIZES = {"multivariate_normal": {"size": 2}, "categorical": {"size": 2, "categories": 3}}
"""Settings at which every rung of the ladder is quick; any other family has three coordinates."""

SYNTHETIC = [
    name
    for name, cls in distributions
    if issubclass(cls, Univariate) or name in ("bernoulli", "categorical", "multivariate_normal")
]
"""Families without data."""


def small(name: str) -> Family:
    """The family at a small size."""
    return distributions.get(name, **SIZES.get(name, {"size": 3}))


def problems(name: str, coordinates: str = "unconstrained", point: str = "default") -> Iterator[Problem]:
    """A family's problems with every objective that fits."""
    for objective in objectives.available():
        problem = Problem(small(name), objectives.get(objective), coordinates, point)
        if problem.misfit() is None:
            yield problem
