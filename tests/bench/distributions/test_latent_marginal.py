"""Without a density the log-derivative trick is refused with the reason; it works on the joint, and a path on both."""

import pytest
import torch

import bench.distributions.latent_marginal as module
import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.needs import unmet
from tests.support.exactness import assert_unbiased


def problem(family, objective="cosine", point="default"):
    return Problem(distributions.get(family), objectives.get(objective), point=point)


def refusal(name, family):
    made, estimator = problem(family), estimators.get(name)
    theta = made.theta()
    return unmet(estimator, made.build(made.encode(theta)), made.function(theta["loc"]), 4)


@pytest.mark.parametrize("name", ["reinforce", "rloo", "dice", "lax"])
def test_the_log_derivative_trick_needs_the_joint(name):
    assert "density" in str(refusal(name, "latent_marginal"))
    assert refusal(name, "latent_joint") is None


def test_a_path_needs_no_density():
    assert refusal("reparameterisation", "latent_marginal") is None
    with pytest.raises(NotImplementedError, match="integral over its latent variable"):
        made = problem("latent_marginal")
        made.build(made.encode(made.theta())).log_prob(torch.zeros(3))


@pytest.mark.parametrize("objective", ["squared_sum", "absolute"])
def test_both_have_one_gradient(objective):
    alone, joint = (reference(problem(family, objective)) for family in ("latent_marginal", "latent_joint"))
    assert alone is not None
    assert joint is not None
    assert torch.equal(as_vector(alone.gradient), as_vector(joint.gradient))


@pytest.mark.parametrize(("family", "name"), [("latent_joint", "rloo"), ("latent_marginal", "reparameterisation")])
def test_estimates_are_unbiased(family, name):
    made = problem(family, "squared_sum")
    exact = reference(made)
    assert exact is not None
    torch.manual_seed(0)
    assert_unbiased(Gradients(made, estimators.get(name), 4)(100_000), as_vector(exact.gradient))


@pytest.mark.parametrize("point", ["default", "extreme"])
def test_the_rule_over_the_hidden_variable_is_fine_enough(point, monkeypatch):
    """Twice the nodes give the same probabilities: the ladder's two levels share this rule."""
    family = distributions.get("latent_marginal")
    parameters = family.encode(family.theta(point, "unconstrained"), "unconstrained")
    z, weight = family.line(parameters, (0.4,), 0)
    above = [(family.mass(parameters, z, weight) * (z > 0.4)).sum(0)]
    monkeypatch.setattr(module, "PANELS", 2 * module.PANELS)
    above.append((family.mass(parameters, z, weight) * (z > 0.4)).sum(0))
    assert torch.allclose(*above, rtol=0, atol=1e-12)
