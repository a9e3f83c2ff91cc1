"""The decision process: its exact return by two methods, its draws, its gradient."""

import itertools

import torch

import estimators
from bench.distributions import distributions
from bench.distributions.tabular_policy import garnet
from bench.measure.estimates.gradients import Gradients
from bench.objectives.returns import DiscountedReturn, expected_return
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from tests.support.exactness import assert_unbiased

RETURN = DiscountedReturn()


def problem(**settings):
    return Problem(distributions.get("tabular_policy", **settings), RETURN)


def exact(which, theta):
    return RETURN.expectation(which.family, which.point, which.encode(theta))


def test_forward_recursion_is_bellmans_backward_one():
    which = problem()
    transition, initial, _ = map(torch.tensor, garnet(5, 3))
    worth, policy = RETURN.worth(which.family), which.theta()["logits"].softmax(-1)
    value = torch.zeros(5).double()
    for t in range(5, -1, -1):
        value = (policy * (worth[t] + transition @ value)).sum(-1)
    assert torch.isclose(exact(which, which.theta()), initial @ value, rtol=1e-13)


def test_forward_recursion_is_the_sum_over_trajectories():
    which = problem(size=2, actions=2, horizon=3)
    parameters = which.encode(which.theta())
    q, total = which.build(parameters), torch.tensor(0.0).double()
    transition, initial, _ = map(torch.tensor, garnet(2, 2))
    for steps in itertools.product(range(2), repeat=6):
        states, actions = steps[:3], steps[3:]
        z = torch.zeros(3, 2, 2).double()
        z[range(3), list(states), list(actions)] = 1.0
        environment = initial[states[0]] * transition[states[0], actions[0], states[1]]
        environment = environment * transition[states[1], actions[1], states[2]]
        total = total + environment * q.log_prob(z).exp() * which.function(z)(z, q)
    assert torch.isclose(exact(which, which.theta()), total, rtol=1e-13)


def test_the_return_of_rewards_one_is_the_discounted_horizon():
    which = problem(horizon=4)
    worth = 0.5 ** torch.arange(4).double()[:, None, None].expand(-1, 5, 3)
    assert torch.isclose(expected_return(**which.encode(which.theta()), worth=worth), torch.tensor(1.875).double())


def test_draws_follow_the_law():
    torch.manual_seed(0)
    which = problem()
    q = which.build(which.encode(which.theta()))
    z = q.sample((20_000,))
    value = which.function(z)(z, q)
    assert (z.sum((-1, -2)) == 1).all()
    assert abs(value.mean() - exact(which, which.theta())) < 5.5 * value.std() / 20_000**0.5


def test_leave_one_out_is_unbiased():
    torch.manual_seed(0)
    which = problem(size=3, actions=2, horizon=4)
    sample = Gradients(which, estimators.get("rloo"), samples=4)(40_000)
    gradient = as_vector(torch.func.grad(lambda theta: exact(which, theta))(which.theta()))
    assert_unbiased(sample, gradient, resolution=0.03)
