"""Every objective: its gradient, its facts, which families it fits, its expectation."""

import pytest
import torch

from bench.gradients import flat
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problem import Problem
from bench.reference import RUNGS, climb
from estimators.errors import BadInput
from tests.problems import SYNTHETIC, problems, small

COORDINATES = ("unconstrained", "natural")
EVERY = [
    (name, coordinates, point) for name in SYNTHETIC for coordinates in COORDINATES for point in small(name).points
]


def of(family, objective, coordinates="unconstrained", point="default"):
    return Problem(small(family), objectives.get(objective), coordinates, point)


@pytest.mark.parametrize(("family", "coordinates", "point"), EVERY)
def test_rungs_agree(family, coordinates, point):
    """Every rung that reaches gives one gradient, within the errors claimed; the best is good to 1e-8."""
    for problem in problems(family, coordinates, point):
        name = problem.objective.name
        first, *others = [each for method, rung in RUNGS.items() if (each := climb(problem, rung, method))]
        size = flat(first.gradient).norm()
        assert size > 0, name
        assert float(flat(first.error).norm() / size) < 1e-8, name
        for other in others:
            apart = (flat(first.gradient) - flat(other.gradient)).abs()
            assert bool((apart <= flat(first.error) + flat(other.error)).all()), (name, other.method)


@pytest.mark.parametrize("family", SYNTHETIC)
def test_declared_differentiability_is_true(family):
    """The derivative in z agrees with a central difference wherever q puts its mass, or between discrete values."""
    for problem in problems(family):
        if problem.objective.relaxable if problem.family.discrete else problem.objective.differentiable:
            assert agreement(problem) > 0.99, problem.objective.name


def agreement(problem):
    """The share of draws at which autograd's slope in a random direction is the difference quotient."""
    theta = problem.theta()
    f = problem.function(next(iter(theta.values())))
    q = problem.build(problem.encode(theta))
    torch.manual_seed(0)
    z, step = q.sample((400,)), 1e-5
    direction = torch.randn_like(z)
    gradient = torch.func.grad(lambda x: f(x, q).sum())(z)
    along = (gradient * direction).flatten(1).sum(1)
    difference = (f(z + step * direction, q) - f(z - step * direction, q)) / (2 * step)
    return float(torch.isclose(along, difference, rtol=1e-4, atol=1e-5).double().mean())


def test_a_false_declaration_is_seen():
    """The check above has power: a jump and a stopped gradient do not pass it."""

    class Stopped(Target):
        name = "stopped"

        def value(self, z):
            return z.square().sum(-1).detach() + 0 * z.sum(-1)

    assert agreement(Problem(small("normal"), Stopped())) < 0.1


def test_misfits_say_why():
    assert "bits" in str(of("normal", "parity").misfit())
    assert "mean over" not in str(of("normal", "linear").misfit())
    assert of("categorical", "linear").misfit() is not None
    with pytest.raises(BadInput, match=r"at most 0\.5"):
        objectives.get("exponential", rate=2.0)


def test_ising_has_a_ring():
    """Three spins up: three pairs and the fields −½, ¼, 1, over three."""
    value = objectives.get("ising", coupling=1.0).value(torch.ones(3, dtype=torch.float64))
    assert float(value) == pytest.approx((3 + 0.75) / 3)


def test_functions_of_one_point():
    z = torch.tensor([0.5, -1.0], dtype=torch.float64)
    values = {
        name: float(objectives.get(name).value(z)) for name in ("linear", "quadratic", "exponential", "cosine", "step")
    }
    expected = {
        "linear": -0.5,
        "quadratic": 0.04 + 1.69,
        "exponential": float((-0.5 * z).exp().sum()),
        "cosine": float((2 * z).cos().sum()),
        "step": 1.0,
    }
    assert values == pytest.approx(expected)
