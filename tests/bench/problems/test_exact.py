"""The ladder of exact gradients against closed forms, finite differences and its own error."""

import math

import pytest
import torch

from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import RUNGS, climb, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.tools.parameters import support
from tests.support.problems import ON_GRIDS, SYNTHETIC, climbed, few_or_all, small


def exact(family, objective, coordinates="natural", point="default", **settings):
    found = reference(Problem(small(family), objectives.get(objective, **settings), coordinates, point))
    assert found is not None
    return found.gradient


def theta(family, coordinates="natural"):
    return small(family).theta("default", coordinates)


def close(found, expected):
    return torch.allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_normal():
    """Closed forms in μ and s: of exp(−rz) and of cos(kz) (fact 26); of the step, ±φ(u)/s."""
    mu, s = theta("normal").values()
    gradient, mean = exact("normal", "exponential", rate=0.4), (-0.4 * mu + 0.08 * s**2).exp()
    assert close(gradient["loc"], -0.4 * mean)
    assert close(gradient["scale"], 0.16 * s * mean)
    gradient, decay = exact("normal", "cosine", frequency=3.0), (-4.5 * s**2).exp()
    assert close(gradient["loc"], -3 * decay * (3 * mu).sin())
    assert close(gradient["scale"], -9 * s * decay * (3 * mu).cos())
    gradient, u = exact("normal", "step", at=0.2), (0.2 - mu) / s
    density = (-u.square() / 2).exp() / math.sqrt(2 * math.pi) / s
    assert close(gradient["loc"], density)
    assert close(gradient["scale"], u * density)


def test_gamma():
    """E z = α/β, E z² = α(α+1)/β², E exp(−rz) = (1 + r/β)^−α."""
    a, b = theta("gamma").values()
    gradient = exact("gamma", "linear")
    assert close(gradient["concentration"], 1 / b)
    assert close(gradient["rate"], -a / b**2)
    gradient = exact("gamma", "quadratic", centre=0.0)
    assert close(gradient["concentration"], (2 * a + 1) / b**2)
    assert close(gradient["rate"], -2 * a * (a + 1) / b**3)
    gradient, mean = exact("gamma", "exponential", rate=0.3), (1 + 0.3 / b) ** -a
    assert close(gradient["concentration"], -(1 + 0.3 / b).log() * mean)
    assert close(gradient["rate"], a * 0.3 / b**2 / (1 + 0.3 / b) * mean)


def test_poisson():
    """E exp(−rz) = exp(λ(e^−r − 1)); E cos(kz) is the real part of exp(λ(e^{ik} − 1))."""
    (rate,) = theta("poisson").values()
    a = math.exp(-0.3) - 1
    assert close(exact("poisson", "exponential", rate=0.3)["rate"], a * (a * rate).exp())
    turn = torch.tensor(complex(math.cos(2.0) - 1, math.sin(2.0)), dtype=torch.complex128)
    assert close(exact("poisson", "cosine")["rate"], (turn * (turn * rate).exp()).real)


def test_beta():
    """E z = a/(a+b)."""
    a, b = theta("beta").values()
    gradient = exact("beta", "linear")
    assert close(gradient["concentration1"], b / (a + b) ** 2)
    assert close(gradient["concentration0"], -a / (a + b) ** 2)


def test_bits():
    """(1 − 2t) / D in each probability; parity's is −2 times the product of the others' means."""
    (probs,) = theta("bernoulli").values()
    assert close(exact("bernoulli", "quadratic_bits")["probs"], torch.full_like(probs, 0.1 / 3))
    mean = 1 - 2 * probs
    assert close(exact("bernoulli", "parity")["probs"], -2 * mean.prod() / mean)


def test_categorical():
    """Logits are redundant: their gradients sum to 0 per variable; the gradient in probs has no part along probs."""
    assert float(exact("categorical", "squared_sum", "unconstrained")["logits"].sum(-1).abs().max()) < 1e-14
    probs = theta("categorical")["probs"]
    assert float((exact("categorical", "squared_sum")["probs"] * probs).sum(-1).abs().max()) < 1e-14


@pytest.mark.parametrize(
    ("name", "few"),
    [*((name, True) for name in SYNTHETIC), *(pytest.param(name, False, marks=pytest.mark.slow) for name in ON_GRIDS)],
)
def test_central_differences(name, few):
    """Of E f by the rule that the gradient came from, which does not pass through the derivative of a density."""
    for problem in few_or_all(name, few):
        found = next((each for method in RUNGS if (each := climbed(problem, method))), None)
        if found is None:
            continue
        for block, value in problem.theta().items():
            h = 1e-4 * max(1.0, float(value.flatten()[0].abs()))
            up, down = (expectation(problem, found.method, block, value, step) for step in (h, -h))
            exact = float(found.gradient[block].flatten()[0])
            assert float((up - down) / (2 * h)) == pytest.approx(exact, rel=1e-5, abs=1e-6), problem.objective.name


def expectation(problem, method, block, value, step):
    """E f with the first coordinate of a block moved by a step."""
    family, objective = problem.family, problem.objective
    moved = value.clone()
    moved.view(-1)[0] += step
    parameters = problem.encode(problem.theta() | {block: moved})
    q = problem.build(parameters)
    f = problem.function(value)
    if method == "closed form":
        closed = objective.expectation(family, problem.point, parameters)
        assert closed is not None
        return closed
    if method == "separable":
        z, weight = family.line(parameters, objective.breaks, 0)
        return (family.mass(parameters, z, weight) * objective.terms(z)).sum()
    if method == "pathwise quadrature":
        z, weight = family.push(parameters, 0)
        return weight @ f(z, q)
    z, weight = (support(q), 1.0) if method == "enumeration" else family.joint(parameters, objective.breaks, 1)
    return (weight * q.log_prob(z).exp() * f.held(z, q)).sum()


def test_the_ladder_prefers_the_best_rung():
    method = {
        ("normal", "linear"): "closed form",
        ("normal", "step"): "separable",
        ("categorical", "squared_sum"): "enumeration",
    }
    for (family, objective), best in method.items():
        found = reference(Problem(small(family), objectives.get(objective)))
        assert found is not None
        assert found.method == best


def test_quadrature_over_two_coordinates():
    """The product of two lines, and the map of a Gaussian grid, against closed forms."""
    for name in ("normal", "gamma", "beta", "multivariate_normal"):
        problem = Problem(distributions.get(name, size=2), objectives.get("squared_sum"))
        grid, closed = (climb(problem, RUNGS[rung], rung) for rung in ("quadrature", "closed form"))
        assert grid is not None
        assert closed is not None
        assert float((as_vector(grid.gradient) - as_vector(closed.gradient)).abs().max()) < 1e-11


def test_none_where_no_rung_reaches():
    class Product(Target):
        name = "product"

        def value(self, z):
            return z.tanh().prod(-1)

    assert reference(Problem(distributions.get("normal", size=3), Product())) is None


def test_a_coarse_rule_says_so():
    """The claimed error covers the true one where the rule is too coarse for the oscillation."""
    problem = Problem(distributions.get("normal", size=2), objectives.get("cosine", frequency=400.0), "natural")
    found = reference(problem)
    assert found is not None
    assert float(as_vector(found.error).max()) > 1e-8


def test_large_sizes_are_cheap():
    found = reference(Problem(distributions.get("normal", size=2_000), objectives.get("cosine")))
    assert found is not None
    assert len(found.gradient["loc"]) == 2_000


def test_shifting_by_the_mean_removes_the_rounding_of_a_large_constant():
    class Raised(Target):
        name, separable = "raised", True

        def terms(self, z):
            return z + 1e6

    found = reference(Problem(distributions.get("poisson", size=2), Raised(), "natural"))
    assert found is not None
    off = (found.gradient["rate"] - 1).abs()
    assert bool((off <= found.error["rate"]).all()) and float(found.error["rate"].max()) < 1e-12
    rate, z = torch.tensor(1.5, dtype=torch.float64, requires_grad=True), torch.arange(60, dtype=torch.float64)
    (torch.distributions.Poisson(rate).log_prob(z).exp() * (z + 1e6)).sum().backward()
    assert rate.grad is not None and abs(float(rate.grad) - 1) > 1e-12  # the sum as it stands rounds more
