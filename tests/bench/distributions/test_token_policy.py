"""The token policy's law, its rewards, and their exact gradients by two methods."""

import math

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.tools.parameters import rebuild, states, support
from tests.support.exactness import assert_biased, assert_unbiased


def problem(objective, point="default", **settings):
    return Problem(distributions.get("token_policy", **settings), objectives.get(objective), point=point)


def distribution(which):
    return which.build(which.encode(which.theta()))


def enumerated(which, theta):
    q = which.build(which.encode(theta))
    z = support(q)
    return which.reduce((q.log_prob(z).exp() * which.function(z)(z, q)).sum(0))


def exact_gradient(which):
    return as_vector(torch.func.grad(lambda theta: enumerated(which, theta))(which.theta()))


def brackets(text):
    return torch.tensor([[1.0, 0.0] if c == "(" else [0.0, 1.0] for c in text])


def test_probabilities_add_up_and_draws_follow_them():
    torch.manual_seed(0)
    q = distribution(problem("token_sum", size=4))
    z = support(q)
    assert states(q) == len(z) == 81
    probability = q.log_prob(z).exp()
    assert torch.allclose(probability.sum(0), torch.ones(2).double())
    draws = q.sample((100_000,))
    place = 3 ** torch.arange(3, -1, -1)
    index = (draws.argmax(-1) * place).sum(-1)
    for prompt in range(2):
        expected = 100_000 * probability[:, prompt]
        found = torch.bincount(index[:, prompt], minlength=81)
        chi2 = float(((found - expected).square() / expected).sum())
        assert abs(chi2 - 80) < 6 * math.sqrt(160)


def test_the_greedy_sequence():
    q = distribution(problem("token_sum", "extreme", size=4))
    z = q.mode
    assert z.shape == (2, 4, 3)
    assert torch.equal(rebuild(q, {name: getattr(q, name) for name in q.arg_constraints}).mode, z)
    one_swap = z.clone()
    one_swap[:, -1] = one_swap[:, -1].roll(1, -1)
    assert (q.log_prob(z) > q.log_prob(one_swap)).all()


@pytest.mark.parametrize(("text", "balanced"), [("(())()", 1), ("())(()", 0), ("((((((", 0), ("))((()", 0)])
def test_balanced(text, balanced):
    assert float(objectives.get("balanced_brackets").value(brackets(text))) == balanced


def test_sum_counts_the_states_that_add_up():
    which = problem("token_sum", size=2, vocabulary=3)
    q = distribution(which)
    z = support(q)
    assert which.function(z)(z, q).sum(0).tolist() == [3, 2]


@pytest.mark.parametrize("point", ["default", "extreme"])
def test_dynamic_programming_is_the_enumeration(point):
    which = problem("balanced_brackets", point, size=8, vocabulary=2)

    def by_programming(theta):
        value = which.objective.expectation(which.family, which.point, which.encode(theta))
        assert value is not None
        return which.reduce(value)

    assert torch.isclose(by_programming(which.theta()), enumerated(which, which.theta()), rtol=1e-12)
    gradient = as_vector(torch.func.grad(by_programming)(which.theta()))
    assert torch.allclose(gradient, exact_gradient(which), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("objective", ["token_sum", "balanced_brackets"])
def test_leave_one_out_is_unbiased(objective):
    torch.manual_seed(0)
    which = problem(objective, size=4, vocabulary=2)
    sample = Gradients(which, estimators.get("rloo"), samples=4)(40_000)
    assert_unbiased(sample, exact_gradient(which), resolution=0.03)


def test_the_group_mean_shrinks():
    """(1 − 1/K) g exactly: K = 2 halves it."""
    torch.manual_seed(0)
    which = problem("token_sum", size=4, vocabulary=2)
    sample = Gradients(which, estimators.get("group_mean"), samples=2)(100_000)
    assert_biased(sample, exact_gradient(which))
    assert_unbiased(2 * sample, exact_gradient(which), resolution=0.03)


def test_odd_lengths_and_other_families_do_not_fit():
    target = objectives.get("balanced_brackets")
    assert target.fits(distributions.get("token_policy", size=5, vocabulary=2)) is not None
    assert target.fits(distributions.get("bernoulli")) is not None
    assert target.fits(distributions.get("token_policy", size=6, vocabulary=2)) is None
