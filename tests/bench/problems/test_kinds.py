"""Every problem says its kind, in one of the words of the table, and older tables get the same from its names."""

from collections.abc import Iterator
from functools import cache
from typing import get_args

import pandas as pd
import pytest

from bench.distributions import distributions
from bench.distributions.base import Family
from bench.objectives import objectives
from bench.problems.kinds import ProblemKind, problem_kind
from bench.problems.problem import Problem
from bench.tables.kinds import OTHER, PROBLEM_KINDS, in_order, kind_by_names, kinds_of_rows


def pairs() -> Iterator[tuple[str, str, str]]:
    """The registered pairs that fit at default settings: distribution, objective, kind."""
    for name, distribution in distributions:
        yield from of_family(name, distribution())


def of_family(name: str, family: Family) -> Iterator[tuple[str, str, str]]:
    problem_at = {}
    for objective, target in objectives:
        problem = Problem(family, target(), family.coordinates[0], (*family.points, *target.points)[0])
        if problem.misfit() is None:
            if problem.point not in problem_at:  # building θ takes most of the time, and objectives share it
                theta = problem.theta()
                problem_at[problem.point] = problem.build(problem.encode(theta)), next(iter(theta.values()))
            q, like = problem_at[problem.point]
            yield name, objective, problem_kind(family, q, problem.function(like))


@cache
def registered() -> list[tuple[str, str, str]]:
    return list(pairs())


def test_every_registered_pair_has_a_kind_and_every_kind_has_a_pair():
    assert len(registered()) > 400
    assert {kind for *_, kind in registered()} == set(PROBLEM_KINDS) == set(get_args(ProblemKind))


NEWER = frozenset({"log_linear_policy", "priced_answers"})
"""Distributions and objectives that are younger than the column: no table lacks their kind, so that names need not
give it."""


def test_tables_without_the_column_give_every_pair_the_same_kind():
    wrong = [pair for pair in registered() if kind_by_names(*pair[:2]) != pair[2] and not NEWER & set(pair[:2])]
    assert wrong == [], "name what is new in NEWER: its records say their kind"


@pytest.mark.parametrize(
    ("distribution", "settings", "objective", "kind"),
    [
        ("bernoulli", {}, "quadratic_bits", "bits"),
        ("bernoulli_encoder", {}, "digits_vae", "bits"),
        ("bernoulli", {}, "importance_bound", "bounds"),
        ("categorical", {}, "squared_sum", "categories"),
        ("poisson", {}, "linear", "counts"),
        ("plackett_luce", {}, "tour", "orders and sequences"),
        ("bernoulli_chain", {}, "ising", "orders and sequences"),
        ("normal", {}, "quadratic", "smooth continuous"),
        ("normal", {}, "step", "continuous with kinks or jumps"),
        ("normal", {}, "absolute", "continuous with kinks or jumps"),
        ("normal", {"size": 31}, "logistic_regression", "bounds"),
        ("normal_encoder", {}, "digits_vae", "bounds"),
        ("token_policy", {}, "token_sum", "policies"),
    ],
)
def test_the_kinds_of_well_known_problems(distribution: str, settings: dict[str, int], objective: str, kind: str):
    family, target = distributions.get(distribution, **settings), objectives.get(objective)
    problem = Problem(family, target, family.coordinates[0], (*family.points, *target.points)[0])
    theta = problem.theta()
    like = next(iter(theta.values()))
    found = problem_kind(family, problem.build(problem.encode(theta)), problem.function(like))
    assert found == kind == kind_by_names(distribution, objective)


def test_what_a_row_says_comes_first_and_a_plug_in_of_an_older_table_is_other():
    rows = pd.DataFrame(
        {"distribution": ["normal", "normal", "mine"], "objective": "linear", "kind": ["counts", "", None]},
        index=[3, 5, 7],
    )
    assert kinds_of_rows(rows).tolist() == ["counts", "smooth continuous", OTHER]
    assert kinds_of_rows(rows.drop(columns="kind")).tolist() == ["smooth continuous", "smooth continuous", OTHER]
    assert in_order(pd.Series(["mine", "counts", "bits", "counts"])) == ["bits", "counts", "mine"]
