"""Every family: its θ, its coordinates, its weighted support, its draws, and gradients through them."""

import math

import pytest
import scipy.stats
import torch

import estimators
from bench.distributions.categorical import FastOneHot
from bench.distributions.plackett_luce import PlackettLuce
from bench.distributions.tabular_policy import garnet
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from tests.support.exactness import assert_unbiased, assert_unbiased_on
from tests.support.problems import COUPLED, ON_GRIDS, SYNTHETIC, problems, small

POINTS = [(name, point) for name in SYNTHETIC for point in small(name).points]
LINES = [(name, point) for name, point in POINTS if small(name).tractable_density and name not in COUPLED]
REPARAMETERISED = [name for name in SYNTHETIC if small(name).reparameterised]


def parameters(name, point="default"):
    family = small(name)
    return family.encode(family.theta(point, family.coordinates[0]), family.coordinates[0])


def line(name, point="default"):
    """Points and probabilities `[S, size]`, as the density gives them."""
    family, values = small(name), parameters(name, point)
    z, weight = family.line(values, (0.4,), 0)
    return z, weight * family.marginals(values).log_prob(z).exp()


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_theta_is_neither_zero_nor_symmetric(name, point):
    theta = small(name).theta(point, small(name).coordinates[0])
    for value in theta.values():
        assert value.dtype == torch.float64
        assert value.abs().sum() > 0
        assert len(set(value.flatten().tolist())) == value.numel()
    values = as_vector(theta)
    assert abs(float(values.mean())) > 1e-3 or name in ("bernoulli", "categorical")


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_both_coordinates_are_one_distribution(name, point):
    family = small(name)
    q = [family.build(family.encode(family.theta(point, kind), kind)) for kind in family.coordinates]
    torch.manual_seed(0)
    z = q[0].sample((7,))
    if family.tractable_density:
        assert torch.allclose(q[0].log_prob(z), q[-1].log_prob(z), rtol=1e-10)
    else:
        torch.manual_seed(0)
        assert torch.allclose(q[-1].sample((7,)), z, rtol=1e-10)


@pytest.mark.parametrize(("name", "point"), LINES)
def test_the_density_integrates_to_one(name, point):
    z, mass = line(name, point)
    assert torch.allclose(mass.sum(0), torch.ones_like(mass[0]), rtol=0, atol=1e-12)
    assert not z.requires_grad


@pytest.mark.parametrize(
    "name", [name for name in REPARAMETERISED if small(name).tractable_density and name not in COUPLED]
)
def test_the_support_is_constant(name):
    """A support that moved with θ would be differentiated through, and count the gradient twice."""
    family = small(name)
    values = {key: value.requires_grad_() for key, value in parameters(name).items()}
    z, weight = family.line(values, (0.4,), 0)
    assert not z.requires_grad
    assert not weight.requires_grad


@pytest.mark.parametrize(("name", "point"), LINES)
def test_draws_have_the_moments_of_the_density(name, point):
    """Of a bounded function of z, as heavy tails have none: tanh z and its square."""
    z, mass = line(name, point)
    torch.manual_seed(0)
    draws = small(name).build(parameters(name, point)).sample((100_000,))
    for moment in (torch.tanh, lambda x: torch.tanh(x).square()):
        extra = z.dim() - mass.dim()
        exact = (mass.reshape(*mass.shape, *(1 for _ in range(extra))) * moment(z)).sum(0)
        sample = moment(draws)
        error = sample.std(0) / len(sample) ** 0.5 + 1e-12
        assert float(((sample.mean(0) - exact) / error).abs().max()) < 6


SCIPY = {
    "bernoulli": lambda logits: scipy.stats.bernoulli(logits.sigmoid()),
    "beta": scipy.stats.beta,
    "binomial": lambda logits: scipy.stats.binom(6, logits.sigmoid()),
    "cauchy": scipy.stats.cauchy,
    "exponential": lambda rate: scipy.stats.expon(scale=1 / rate),
    "geometric": lambda logits: scipy.stats.geom(logits.sigmoid(), loc=-1),
    "gumbel": scipy.stats.gumbel_r,
    "laplace": scipy.stats.laplace,
    "log_normal": lambda loc, scale: scipy.stats.lognorm(scale, scale=loc.exp()),
    "logistic": scipy.stats.logistic,
    "negative_binomial": lambda count, logits: scipy.stats.nbinom(count, (-logits).sigmoid()),
    "student_t": scipy.stats.t,
    "truncated_normal": lambda m, s: scipy.stats.truncnorm((-1 - m) / s, (2 - m) / s, m, s),
    "uniform": lambda high: scipy.stats.uniform(0, high),
    "von_mises": lambda loc, concentration: scipy.stats.vonmises(concentration, loc),
    "weibull": lambda scale, k: scipy.stats.weibull_min(k, scale=scale),
    "gamma_rate": lambda rate: scipy.stats.gamma(1.5, scale=1 / rate),
    "gamma": lambda concentration, rate: scipy.stats.gamma(concentration, scale=1 / rate),
    "normal": scipy.stats.norm,
    "poisson": scipy.stats.poisson,
}


@pytest.mark.parametrize("name", SCIPY)
def test_density_and_draws_are_scipys(name):
    """The density against another implementation, and draws against its distribution function."""
    family, values = small(name), parameters(name)
    theirs = SCIPY[name](*values.values())
    torch.manual_seed(0)
    z = family.build(values).sample((4_000,))
    density = theirs.logpmf(z) if family.discrete else theirs.logpdf(z)
    assert torch.allclose(family.marginals(values).log_prob(z), torch.as_tensor(density), atol=1e-10)
    start = theirs.cdf(-math.pi) if name == "von_mises" else 0.0  # scipy's unrolls the circle
    below = torch.as_tensor(theirs.cdf(z - 1 if family.discrete else z) - start)
    mass = torch.as_tensor(density).exp() if family.discrete else torch.zeros_like(z)
    uniform = below + torch.rand_like(z) * mass  # the distribution function of a draw is uniform
    for d in range(family.size):
        assert scipy.stats.kstest(uniform[:, d], "uniform").pvalue > 1e-7


@pytest.mark.parametrize("name", SYNTHETIC)
def test_replicates_are_independent(name):
    """Expanded parameters share memory; draws must not be shared."""
    family = small(name)
    expanded = {key: value.expand(50, *value.shape) for key, value in parameters(name).items()}
    torch.manual_seed(0)
    z = family.build(expanded).sample((20,)).transpose(0, 1).flatten(1)
    assert len(torch.unique(z, dim=0)) > 45


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ON_GRIDS else ()) for name in REPARAMETERISED]
)
def test_pathwise_gradients_are_unbiased(name):
    problem = next(each for each in problems(name) if each.objective.name in ("cosine", "european_call", "asian_call"))
    exact = reference(problem)
    assert exact is not None
    torch.manual_seed(0)
    sample = Gradients(problem, estimators.get("reparameterisation"), 1)(200_000)
    last = len(exact.gradient["loc"]) if name == "cauchy" else None  # in its scale, E |∇f(g(ε))| is infinite
    assert_unbiased(sample[:, :last], as_vector(exact.gradient)[:last])


SCORED = [
    pytest.param(name, marks=pytest.mark.slow if small(name).reparameterised and name not in ON_GRIDS else ())
    for name in SYNTHETIC
    if small(name).tractable_density
]
"""One of the two gradients of each family in `make test`: the pathwise one where there is one and no grid is needed."""


@pytest.mark.parametrize("name", SCORED)
def test_score_gradients_are_unbiased(name):
    """At a non-separable objective, where one fits."""
    problem = min(problems(name), key=lambda each: (each.objective.name != "squared_sum", each.objective.separable))
    assert_unbiased_on(problem, "rloo", 4, 100_000, resolution=0.06)


def test_one_hot_is_torchs():
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = FastOneHot(logits), torch.distributions.OneHotCategorical(logits=logits)
    z = theirs.sample((9,))
    assert torch.allclose(ours.log_prob(z), theirs.log_prob(z))
    assert torch.equal(ours.mean, theirs.mean)
    assert ours.sample((2,)).shape == (2, 5, 4)


def test_no_coordinate_of_a_full_normal_is_zero_by_construction():
    """The lower triangle alone is θ; each of its entries moves the bound of a non-separable objective."""
    exact = reference(Problem(small("multivariate_normal"), objectives.get("squared_sum")))
    assert exact is not None
    assert exact.gradient["scale_tril"].shape == (3,)
    assert bool((as_vector(exact.gradient).abs() > 1e-3).all())


def test_orders_of_a_plackett_luce_have_a_second_derivative_where_the_first_is_unweighted():
    """What a learned baseline needs: a coefficient 0 must not make NaN of it."""
    logits, matrix = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64), torch.eye(3, dtype=torch.float64)

    def squared(weight: torch.Tensor) -> torch.Tensor:
        def weighted(at: torch.Tensor) -> torch.Tensor:
            return weight * PlackettLuce(at, validate_args=False).log_prob(matrix)

        return torch.func.grad(weighted)(logits).square().sum()

    assert torch.func.grad(squared)(torch.tensor(0.0, dtype=torch.float64)) == 0


@pytest.mark.parametrize("order", [[reference, Gradients], [Gradients, reference]])
def test_an_environment_kept_from_one_transform_serves_the_next(order):
    """A constant made inside a transform of torch.func and kept would be dead in the next."""
    garnet.cache_clear()
    problem = Problem(small("tabular_policy"), objectives.get("discounted_return"))
    for each in order:
        found = each(problem) if each is reference else each(problem, estimators.get("rloo"), 4)(2)
        assert found is not None
