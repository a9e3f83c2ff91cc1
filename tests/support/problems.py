"""Every family at a small size, every objective that fits it, and their problems."""

from collections.abc import Iterator
from functools import cache

from bench.distributions import Family, distributions
from bench.distributions.univariate import Univariate
from bench.objectives import objectives
from bench.problems.exact import RUNGS, Reference, climb
from bench.problems.problem import Problem
from tests.support.few import spread

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

ON_GRIDS = ("affine_flow", "latent_joint", "latent_marginal", "multivariate_normal", "quadratic_map")
"""Families whose exact gradient takes a grid over all coordinates at once, a second or more for each objective."""

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


@cache
def climbed(problem: Problem, method: str) -> Reference | None:
    """The gradient by one rung of the ladder, which several tests look at."""
    return climb(problem, RUNGS[method], method)


def few_or_all(name: str, few: bool, coordinates: str | None = None, point: str = "default") -> list[Problem]:
    """All problems of a family. Where `few` is set: two on grids; five elsewhere but at the family's first place."""
    found = list(problems(name, coordinates, point))
    if not few or (name not in ON_GRIDS and first_place(name, coordinates, point)):
        return found
    return spread(found, 2 if name in ON_GRIDS else 5)


def first_place(name: str, coordinates: str | None, point: str) -> bool:
    """Whether these are the first coordinates and the default point of the family."""
    return point == "default" and coordinates in (None, small(name).coordinates[0])
