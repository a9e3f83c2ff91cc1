"""What runs with what: every estimator on every registered problem, at default settings and the first point."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators.core import Estimator
from estimators.needs import Offer


@cache
def problem_offers() -> list[tuple[str, str, Offer]]:
    """All pairs of a distribution and an objective that make a problem: their names and what they offer."""
    return [
        (label, problem.objective.name, problem.offer(problem.encode(theta), problem.function(like)))
        for label, problem in all_problems()
        for theta in [problem.theta()]
        for like in [next(iter(theta.values()))]
    ]


def all_problems() -> Iterator[tuple[str, Problem]]:
    families = {name: distribution() for name, distribution in distributions}
    families["categorical of size 1"] = distributions.get("categorical", size=1)  # some take one variable alone
    for label, family in families.items():
        for _, objective in objectives:
            target = objective()
            problem = Problem(family, target, family.coordinates[0], (*family.points, *target.points)[0])
            if problem.misfit() is None:
                yield label, problem


def runs_with(estimator: Estimator) -> dict[str, list[str]]:
    """The distributions that an estimator fits, each with its objectives."""
    n = estimator.traits.min_samples * estimator.traits.samples_step
    found = defaultdict(list)
    for distribution, objective, offer in problem_offers():
        if offer.unmet(estimator, n) is None:
            found[distribution].append(objective)
    return dict(found)


def fits_in_words(fitting: dict[str, list[str]]) -> str:
    """A paragraph for each list of objectives, after the distributions that share it.

    >>> print(fits_in_words({"normal": ["linear", "step"], "gamma": ["linear", "step"], "poisson": ["linear"]}))
    Runs with
      normal, gamma: linear, step
      poisson: linear
    """
    shared = defaultdict(list)
    for distribution, names in fitting.items():
        shared[tuple(names)].append(distribution)
    lines = [f"{', '.join(families)}: {', '.join(names)}" for names, families in shared.items()]
    wrapped = [textwrap.fill(line, 110, initial_indent="  ", subsequent_indent="      ") for line in lines]
    return "\n".join(["Runs with" if lines else "Runs with no built-in problem at default settings", *wrapped])
