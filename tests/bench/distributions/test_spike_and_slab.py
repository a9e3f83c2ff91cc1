"""A spike at 0 and a slab: scores see both, and there is no path to the chance of being 0."""

import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.needs import unmet
from tests.support.exactness import assert_unbiased

FAMILY = distributions.get("spike_and_slab", size=3)
PROBLEM = Problem(FAMILY, objectives.get("step", at=-0.1))


def test_zeros_come_as_often_as_said():
    q = FAMILY.build(FAMILY.encode(FAMILY.theta("default", "natural"), "natural"))
    torch.manual_seed(0)
    zero = (q.sample((100_000,)) == 0).double().mean(0)
    expected = 1 - FAMILY.theta("default", "natural")["probs"]
    assert torch.allclose(zero, expected, atol=6 * 0.5 / 100_000**0.5)


def test_scores_see_the_spike():
    """At an objective that jumps just below 0, so that the spike and the slab both matter; in every block."""
    exact = reference(PROBLEM)
    assert exact is not None
    assert all(bool((block.abs() > 1e-3).all()) for block in exact.gradient.values())
    torch.manual_seed(0)
    assert_unbiased(Gradients(PROBLEM, estimators.get("rloo"), 4)(200_000), as_vector(exact.gradient))


def test_pathwise_is_refused():
    theta = PROBLEM.theta()
    reason = unmet(
        estimators.get("reparameterisation"), PROBLEM.build(PROBLEM.encode(theta)), PROBLEM.function(theta["loc"]), 1
    )
    assert reason is not None
    assert "z = g(ε, θ)" in reason
