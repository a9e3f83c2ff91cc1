"""Argmax, black box, k-sparse bits, chains, a queue, options on an average, the importance-weighted bound."""

import pytest
import torch

from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.importance import ImportanceWeighted
from bench.problems.exact import RUNGS, climb, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.validation.checks.problems import check_differentiability, check_function, check_reference
from estimators.errors import BadInput
from estimators.needs import offers
from estimators.traits import Need

PROBLEMS = [
    ("argmax", "normal", 3),
    ("argmax", "gumbel", 5),
    ("argmax", "laplace", 3),
    ("argmax", "logistic", 3),
    ("argmax", "weibull", 2),
    ("black_box", "normal", 3),
    ("black_box", "bernoulli", 3),
    ("k_sparse", "bernoulli", 5),
    ("k_sparse", "bernoulli_chain", 4),
    ("chain", "bernoulli", 4),
    ("chain", "multivariate_normal", 2),
    ("queue_wait", "exponential", 1),
    ("queue_wait", "exponential", 5),
    ("basket_call", "black_scholes", 2),
    ("basket_call", "black_scholes", 3),
    ("asian_call", "black_scholes_path", 3),
    ("importance_bound", "bernoulli", 3),
    ("importance_bound", "categorical", 2),
    ("importance_bound", "normal", 1),
]


def problem(objective: str, family: str, size: int, point: str = "default", **settings) -> Problem:
    made = distributions.get(family, size=size)
    return Problem(made, objectives.get(objective, **settings), made.coordinates[0], point)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("point", ["default", "extreme"])
def test_exact_to_ten_digits(name, point):
    exact = reference(problem(*name, point=point))
    assert exact is not None
    assert float(as_vector(exact.error).norm() / as_vector(exact.gradient).norm()) < 1e-10


DRAWN = [pytest.param(name, marks=pytest.mark.slow if place % 2 else ()) for place, name in enumerate(PROBLEMS)]
"""Every second problem in `make test`, all of them in `make test-all`."""


@pytest.mark.parametrize("name", DRAWN)
def test_exact_gradient_agrees_with_draws(name):
    check_reference(problem(*name), seed=1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_function_is_as_declared(name):
    check_function(problem(*name), seed=1)
    check_differentiability(problem(*name), seed=1)


@pytest.mark.parametrize("name", [("queue_wait", "exponential", 2), ("basket_call", "black_scholes", 2)])
def test_a_second_rung_agrees(name):
    first, second = (climb(problem(*name), RUNGS[rung], rung) for rung in ("closed form", "quadrature"))
    assert first is not None
    assert second is not None
    apart = (as_vector(first.gradient) - as_vector(second.gradient)).abs()
    assert bool((apart <= as_vector(first.error) + as_vector(second.error)).all())


def test_lindley_by_hand():
    """Services 3, ½ and ½ with a gap of 1: the next wait 2, 1½ and 1."""
    value = objectives.get("queue_wait").value(torch.tensor([3.0, 0.5, 0.5]))
    assert float(value) == pytest.approx(1.5)


def test_an_option_on_one_date_is_the_european_one():
    """Three assets that are one: with the others' volatility tiny, the basket is a call on the first."""
    z = torch.tensor([[4.7, 4.6]], dtype=torch.float64)
    basket = float(objectives.get("basket_call").value(z)) / 0.9512294245
    assert basket == pytest.approx(float(z.exp().mean()) - 100, abs=1e-6)


def test_renyi_bound_has_an_exact_gradient():
    check_reference(problem("importance_bound", "bernoulli", 2, draws=3, alpha=0.5), seed=1)


def test_black_box_gives_no_derivative():
    made = problem("black_box", "normal", 2)
    theta = made.theta()
    offered = offers(made.build(made.encode(theta)), made.function(theta["loc"]))
    assert not offered & {Need.DIFFERENTIABLE, Need.PIECEWISE, Need.RELAXABLE}


def test_misfits():
    assert "CDF" in str(problem("argmax", "cauchy", 3).misfit())
    assert "bits" in str(problem("k_sparse", "normal", 3).misfit())
    assert "exponential" in str(problem("queue_wait", "gamma", 3).misfit())
    with pytest.raises(BadInput, match="2 draws"):
        ImportanceWeighted(draws=1)


def test_trained_points_are_unconstrained():
    """θ of `start` and `trained` is made in unconstrained coordinates; elsewhere it would be another θ."""
    family = distributions.get("normal", size=10)
    target = objectives.get("linear_regression")
    assert Problem(family, target, "unconstrained", "trained").misfit() is None
    assert "unconstrained" in str(Problem(family, target, "natural", "trained").misfit())
    assert Problem(family, target, "natural", "default").misfit() is None
