"""Two layers of bits: their law, and estimates against the enumerated gradient."""

import torch
from torch.distributions import Bernoulli

import estimators
from bench.distributions.amortised import BernoulliEncoder
from bench.distributions.layered import LayeredEncoder
from bench.measure.estimates.gradients import Gradients
from bench.objectives.belief_net import BeliefNet
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.tools.parameters import states, support
from tests.support.exactness import assert_unbiased

PROBLEM = Problem(LayeredEncoder(size=3, batch=3), BeliefNet())


def distribution():
    return PROBLEM.build(PROBLEM.encode(PROBLEM.theta()))


def test_the_law_is_a_chain_of_bernoullis():
    q = distribution()
    z = support(q)
    assert states(q) == len(z) == 64
    assert torch.allclose(q.log_prob(z).exp().sum(0), torch.ones(3).double())
    parameters = PROBLEM.encode(PROBLEM.theta())
    first, second = z[37].chunk(2, -1)
    by_torch = Bernoulli(logits=parameters["logits"]).log_prob(first).sum(-1)
    by_torch += Bernoulli(logits=first @ parameters["weight"][0].T + parameters["bias"]).log_prob(second).sum(-1)
    assert torch.allclose(q.log_prob(z[37]), by_torch)


def test_draws_follow_the_law():
    torch.manual_seed(0)
    q = distribution()
    index = (q.sample((50_000,)) * 2 ** torch.arange(5, -1, -1)).sum(-1).long()
    for image in range(3):
        expected = 50_000 * q.log_prob(support(q)).exp()[:, image]
        chi2 = float(((torch.bincount(index[:, image], minlength=64) - expected).square() / expected).sum())
        assert abs(chi2 - 63) < 6 * 126**0.5


def test_leave_one_out_is_unbiased():
    torch.manual_seed(0)
    exact = reference(PROBLEM)
    assert exact is not None
    assert exact.method == "enumeration"
    sample = Gradients(PROBLEM, estimators.get("rloo"), samples=8)(6_000)
    assert_unbiased(sample, as_vector(exact.gradient), resolution=0.06)


def test_only_its_own_family_fits():
    assert BeliefNet().fits(LayeredEncoder()) is None
    assert BeliefNet().fits(BernoulliEncoder()) is not None
