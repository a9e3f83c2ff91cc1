"""Conformance of distributions and objectives, in the shape of `estimators.checks`; and of whatever has a name.

@parametrize_with_checks([MyFamily(), MyObjective(), MyEstimator()])
def test_mine(subject, check):
    check(subject)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.distributions import distributions
from bench.distributions.base import Family
from bench.objectives.base import Target
from bench.problems.problem import Problem
from bench.validation.checks.families import FAMILY_CHECKS
from bench.validation.checks.passes import PASS_CHECKS
from bench.validation.checks.problems import PROBLEM_CHECKS
from estimators.checks import CHECKS
from estimators.checks.failure import CheckFailed
from estimators.checks.named import Expected, SubjectCheck, named, parametrized
from estimators.core import Estimator
from estimators.errors import BadInput

__all__ = [
    "CheckFailed",
    "check_family",
    "check_objective",
    "checks_of",
    "estimator_checks",
    "family_checks",
    "objective_checks",
    "parametrize_with_checks",
    "problem_for",
]

TRACTABLE = ("normal", "bernoulli", "categorical", "poisson", "gamma")
"""Families with a tractable density, tried first."""


def family_checks(
    family: Family, *, seed: int = 0, expected_failures: Expected | None = None
) -> Iterator[tuple[str, SubjectCheck]]:
    """Every check of a family by name, to be called with the family."""
    return named(FAMILY_CHECKS, seed, expected_failures)


def objective_checks(
    problem: Problem | Target, *, seed: int = 0, expected_failures: Expected | None = None
) -> Iterator[tuple[str, SubjectCheck]]:
    """Every check of an objective by name, to be called with a problem that it is part of, or with it alone."""
    for name, check in named(PROBLEM_CHECKS, seed, expected_failures):
        yield name, lambda subject, check=check: check(problem_for(subject) if isinstance(subject, Target) else subject)


def estimator_checks(
    estimator: Estimator, *, seed: int = 0, expected_failures: Expected | None = None
) -> Iterator[tuple[str, SubjectCheck]]:
    """Every check of an estimator by name, those of `estimators.checks` and that it goes through a sweep's passes."""
    return named((*CHECKS, *PASS_CHECKS), seed, expected_failures)


def checks_of(
    subject: Estimator | Family | Target | Problem, *, seed: int = 0, expected_failures: Expected | None = None
) -> Iterator[tuple[str, SubjectCheck]]:
    """The checks of an estimator, a distribution, an objective, or an objective on a distribution."""
    kinds: dict[Any, Callable[..., Iterator[tuple[str, SubjectCheck]]]] = {
        Estimator: estimator_checks,
        Family: family_checks,
        (Target, Problem): objective_checks,
    }
    for kind, checks in kinds.items():
        if isinstance(subject, kind):
            return checks(subject, seed=seed, expected_failures=expected_failures)
    raise BadInput(f"{subject!r} is no estimator, distribution, objective or problem: there is nothing to check")


def check_family(family: Family, *, seed: int = 0, expected_failures: Expected | None = None) -> None:
    """Run every check of a family.

    >>> check_family(distributions.get("bernoulli", size=3))
    """
    for _, check in family_checks(family, seed=seed, expected_failures=expected_failures):
        check(family)


def check_objective(
    target: Target, family: Family | None = None, *, seed: int = 0, expected_failures: Expected | None = None
) -> None:
    """Run every check of an objective, on `family` or on the first registered one that fits."""
    problem = Problem(family, target) if family else problem_for(target)
    for _, check in objective_checks(problem, seed=seed, expected_failures=expected_failures):
        check(problem)


def parametrize_with_checks(
    subjects: Sequence[Estimator | Family | Target | Problem],
    *,
    expected_failures: Callable[[Any], Expected] | None = None,
) -> Any:
    """A pytest decorator: the test is called with `(subject, check)` for every subject and check."""
    return parametrized("subject", subjects, checks_of, expected_failures)


def problem_for(target: Target) -> Problem:
    """The objective on the first registered family that it fits, a plain one where it can be."""
    plain = [name for name in TRACTABLE if name in distributions.available()]
    for name in (*plain, *(name for name in distributions.available() if name not in plain)):
        for settings in ({"size": 3}, {}):
            try:
                problem = Problem(distributions.get(name, **settings), target)
            except BadInput:
                continue
            if problem.misfit() is None:
                return problem
    raise CheckFailed(f"no registered distribution fits {target!r} at its default settings; name one that does")
