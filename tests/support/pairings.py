"""What runs with what: every estimator on every built-in problem that it fits, and a few that cover them all."""

from collections.abc import Iterator
from typing import NamedTuple

import estimators
from bench.catalogue.fits import all_problems
from bench.problems.problem import Problem
from estimators import Estimator
from estimators.needs import Offer


class Pairing(NamedTuple):
    """An estimator on a problem, at the least number of draws."""

    family: str
    objective: str
    name: str
    problem: Problem

    @property
    def estimator(self) -> Estimator:
        return estimators.get(self.name)

    @property
    def draws(self) -> int:
        return self.estimator.traits.min_samples * self.estimator.traits.samples_step

    def __str__(self) -> str:
        return f"{self.name} on {self.objective}/{self.family}"


def pairings() -> Iterator[Pairing]:
    """All of them."""
    for family, problem in all_problems():
        offer = offered(problem)
        for name in estimators.available():
            found = Pairing(family, problem.objective.name, name, problem)
            if offer.unmet(found.estimator, found.draws) is None:
                yield found


def offered(problem: Problem) -> Offer:
    theta = problem.theta()
    return Offer(problem.build(problem.encode(theta)), problem.function(next(iter(theta.values()))))


def covering() -> list[Pairing]:
    """So few of them that every family, every objective and every estimator is there: those that bring a new one."""
    seen: set[tuple[int, str]] = set()
    chosen = []
    for family, problem in all_problems():
        offer = None  # most problems bring nothing new, and are not asked what they offer
        for name in estimators.available():
            found = Pairing(family, problem.objective.name, name, problem)
            new = {*enumerate(found[:3])} - seen
            if new and (offer := offer or offered(problem)).unmet(found.estimator, found.draws) is None:
                chosen.append(found)
                seen |= new
    return chosen
