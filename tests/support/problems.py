"""Every family at a small size, every objective that fits it, and their problems."""

from collections.abc import Iterator

from bench.distributions import Family, distributions
from bench.distributions.univariate import Univariate
from bench.objectives import objectives
from bench.problems.problem import Problem

SIZES = {
    "multivariate_normal": {"size": 2},
    "categorical": {"size": 2, "categories": 3},
    "affine_flow": {"size": 2},
    "latent_joint": {"size": 2},
    "latent_marginal": {"size": 2},
    "quadratic_map": {"size": 2},
    "plackett_luce": {"size": 4},
}
"""Settings at which every rung of the ladder is quick; any other family has three coordinates."""

COUPLED = ("affine_flow", "bernoulli_chain", "latent_joint", "latent_marginal", "plackett_luce", "quadratic_map")
"""Families whose density is not that of their coordinates."""

SYNTHETIC = [
    name
    for name, cls in distributions
    if issubclass(cls, Univariate)
    or name
    in (
        *COUPLED,
        "bernoulli",
        "black_scholes",
        "black_scholes_path",
        "categorical",
        "dirichlet",
        "low_rank_normal",
        "multivariate_normal",
    )
    or name == "normal_mixture"
]
"""Families without data."""


def small(name: str) -> Family:
    """The family at a small size."""
    return distributions.get(name, **SIZES.get(name, {"size": 3}))


def problems(name: str, coordinates: str | None = None, point: str = "default") -> Iterator[Problem]:
    """A family's problems with every objective that fits."""
    family = small(name)
    for objective in objectives.available():
        problem = Problem(family, objectives.get(objective), coordinates or family.coordinates[0], point)
        if problem.misfit() is None:
            yield problem
