"""Conformance of distributions, objectives and references, in the shape of `estimators.checks`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.checks.families import FAMILY_CHECKS
from bench.checks.problems import PROBLEM_CHECKS
from bench.distributions import distributions
from bench.distributions.base import Family
from bench.objectives.base import Target
from bench.problem import Problem
from estimators.checks import run
from estimators.checks.failure import CheckFailed
from estimators.errors import BadInput

__all__ = ["CheckFailed", "check_family", "check_objective", "family_checks", "objective_checks", "problem_for"]

Check = Callable[[Any], None]
PLAIN = ("normal", "bernoulli", "categorical", "poisson", "gamma")
"""Families with a tractable density, tried first."""


def family_checks(seed: int = 0) -> Iterator[tuple[str, Check]]:
    """Every check of a family by name, to be called with the family."""
    for check in FAMILY_CHECKS:
        yield check.__name__.removeprefix("check_"), partial(run, check, seed)


def objective_checks(seed: int = 0) -> Iterator[tuple[str, Check]]:
    """Every check of an objective by name, to be called with a problem that it is part of."""
    for check in PROBLEM_CHECKS:
        yield check.__name__.removeprefix("check_"), partial(run, check, seed)


def check_family(family: Family, seed: int = 0) -> None:
    """Run every check of a family.

    >>> check_family(distributions.get("bernoulli", size=3))
    """
    for _, check in family_checks(seed):
        check(family)


def check_objective(target: Target, family: Family | None = None, seed: int = 0) -> None:
    """Run every check of an objective, on `family` or on the first registered one that fits."""
    problem = Problem(family, target) if family else problem_for(target)
    for _, check in objective_checks(seed):
        check(problem)


def problem_for(target: Target) -> Problem:
    """The objective on the first registered family that it fits, a plain one where it can be."""
    plain = [name for name in PLAIN if name in distributions.available()]
    for name in (*plain, *(name for name in distributions.available() if name not in plain)):
        for settings in ({"size": 3}, {}):
            try:
                problem = Problem(distributions.get(name, **settings), target)
            except BadInput:
                continue
            if problem.misfit() is None:
                return problem
    raise CheckFailed(f"no registered distribution fits {target!r} at its default settings; name one that does")
