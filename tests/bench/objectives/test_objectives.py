"""Every objective: its gradient, its facts, which families it fits, its expectation."""

import pytest
import torch

from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.objectives.landscapes import MaxCut, cut
from bench.objectives.permutations import distances
from bench.problems.exact import RUNGS, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.validation.checks.problems import together
from estimators.errors import BadInput
from tests.support.problems import ON_GRIDS, SYNTHETIC, climbed, few_or_all, first_place, problems, small

FEW = [
    (name, coordinates, point, True)
    for name in SYNTHETIC
    for coordinates in small(name).coordinates
    for point in small(name).points
    if name not in ON_GRIDS or first_place(name, coordinates, point)
]
ALL = [
    pytest.param(name, coordinates, point, False, marks=pytest.mark.slow)
    for name in SYNTHETIC
    for coordinates in small(name).coordinates
    for point in small(name).points
    if name in ON_GRIDS or not first_place(name, coordinates, point)
]
"""In `make test` two problems of a family on grids; of another all at its first place, and five at each other place.
All of them in `make test-all`.
"""


def of(family, objective, coordinates="unconstrained", point="default"):
    return Problem(small(family), objectives.get(objective), coordinates, point)


@pytest.mark.parametrize(("family", "coordinates", "point", "few"), [*FEW, *ALL])
def test_rungs_agree(family, coordinates, point, few):
    """Every rung that reaches gives one gradient, within the errors claimed; the best is good to 1e-8."""
    for problem in few_or_all(family, few, coordinates, point):
        name = problem.objective.name
        if not exactly(problem):
            continue
        first, *others = [each for method in RUNGS if (each := climbed(problem, method))]
        size = as_vector(first.gradient).norm()
        assert size > 0, name
        assert float(as_vector(first.error).norm() / size) < 1e-8, name
        for other in others:
            apart = (as_vector(first.gradient) - as_vector(other.gradient)).abs()
            assert bool((apart <= as_vector(first.error) + as_vector(other.error)).all()), (name, other.method)


def exactly(problem):
    """Sums over sets of draws stop at one Normal coordinate."""
    return problem.objective.name != "importance_bound" or problem.family.discrete or problem.family.size == 1


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
    z, step = q.sample((400, *together(f))), 1e-5
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
        "quadratic": 0.01 + 1.96,
        "exponential": float((-0.5 * z).exp().sum()),
        "cosine": float((2 * z).cos().sum()),
        "step": 1.0,
    }
    assert values == pytest.approx(expected)


def test_black_scholes():
    """Fact 34: price 10.450584, delta .636831, vega 37.524035; the digital's delta .0187620."""
    problem = Problem(distributions.get("black_scholes"), objectives.get("european_call"), "natural")
    exact = reference(problem)
    assert exact is not None
    assert float(exact.gradient["spot"]) == pytest.approx(0.636831, abs=1e-6)
    assert float(exact.gradient["volatility"]) == pytest.approx(37.524035, abs=1e-6)
    exact = reference(Problem(problem.family, objectives.get("digital_call"), "natural"))
    assert exact is not None
    assert float(exact.gradient["spot"]) == pytest.approx(0.0187620, abs=1e-7)


def test_orders():
    """A tour visits every city once, wherever it starts; the best ranking has no loss."""
    family = small("plackett_luce")
    z = torch.eye(4, dtype=torch.float64)
    apart = distances(4)
    q = family.build(family.theta("default", "unconstrained"))
    tour = objectives.get("tour").build(family, "default", z)
    length = apart[0, 1] + apart[1, 2] + apart[2, 3] + apart[3, 0]
    assert torch.allclose(tour(z, q), length)
    assert torch.allclose(tour(z.roll(1, 0), q), length)
    assert float(objectives.get("ranking_loss").build(family, "default", z)(z.flip(0), q)) == pytest.approx(0)


def test_max_cut_counts_each_edge_once():
    weight = MaxCut().edges(3)
    z = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.allclose(cut(z, weight), (weight[0, 1] + weight[0, 2]) / 3)
