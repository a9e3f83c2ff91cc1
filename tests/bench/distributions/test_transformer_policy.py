"""The transformer policy: its table against attention written token by token, its gradients, its stages of training."""

from typing import Any

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.distributions.prefix_tree import sequence_log_probs, sequences
from bench.measure.estimates import gradients
from bench.measure.estimates.batching import Sizes
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.rollout_moments import rollout_moments
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from estimators.policy import PolicyGradient
from tests.support.exactness import assert_biased, assert_unbiased


def family(**settings) -> Any:
    return distributions.get("transformer_policy", **({"size": 3} | settings))


def problem(objective="right_answers", settings=None, **of_objective) -> Any:
    return Problem(family(**(settings or {})), objectives.get(objective, **of_objective))


def logits_by_hand(theta, b, tokens, width):
    """The logits after a prefix, with a causal mask over all positions, as transformers are written."""
    x = torch.cat([theta["prompt"][b : b + 1], theta["token"][list(tokens)]]) + theta["position"][: len(tokens) + 1]
    scores = (x @ theta["query"]) @ (x @ theta["key"]).T / width**0.5
    scores = scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -torch.inf)
    hidden = x + scores.softmax(-1) @ (x @ theta["value"]) @ theta["output"]
    return (hidden @ theta["unembedding"] + theta["bias"])[-1]


def by_hand(which, theta):
    """The mean success: a loop over prompts and answers."""
    z, total = sequences(which.size, which.vocabulary, torch.zeros(())), torch.zeros((), dtype=torch.float64)
    for b in range(which.prompts):
        for y, right in zip(z.argmax(-1).tolist(), which.right()[b], strict=True):
            if not right:
                continue
            log_p = torch.zeros((), dtype=torch.float64)
            for t, token in enumerate(y):
                log_p = log_p + logits_by_hand(theta, b, y[:t], which.width).log_softmax(-1)[token]
                if token == which.vocabulary - 1:
                    break
            total = total + log_p.exp()
    return total / which.prompts


@pytest.mark.parametrize("law", ["short", "long"])
def test_the_exact_gradient_is_that_of_a_loop_over_answers(law):
    which = problem(settings={"law": law, "prompts": 3})
    theta = which.theta()
    slope = torch.func.grad(lambda at: by_hand(which.family, at))(theta)
    exact = reference(which)
    assert exact is not None
    for name, found in exact.gradient.items():
        assert torch.allclose(found, slope[name], rtol=1e-9, atol=1e-14), name
    assert not torch.allclose(exact.gradient["bias"], slope["bias"] * (1 + 1e-6), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("law", ["short", "long"])
@pytest.mark.parametrize(
    "settings", [{"size": 4, "vocabulary": 4}, {"size": 5, "vocabulary": 5, "prompts": 4}], ids=str
)
def test_stages_have_their_success_rates(law, settings):
    for stage, rate in (("early", 0.03), ("middle", 0.3), ("late", 0.85)):
        which = family(law=law, stage=stage, **settings)
        assert abs(float(which.success(which.theta("default", "unconstrained")).mean()) - rate) < 1e-9


def test_right_answers_of_late_policies_are_short_or_long():
    mean = {}
    for law in ("short", "long"):
        which = family(law=law, stage="late", size=5)
        logits = which.encode(which.theta("default", "unconstrained"), "unconstrained")["logits"]
        length = (sequences(5, 4, logits)[..., -1] == 0).sum(-1) + 1.0
        mean[law] = float((sequence_log_probs(logits.log_softmax(-1), 5).exp() @ length.double()).mean())
    assert mean["short"] < 3.5 < mean["long"]


ROADS: Any = {
    "reinforce": ({"preset": "reinforce"}, {}),
    "critic": ({"preset": "ppo", "critic_error": 0.2}, {}),
    "greedy": ({"preset": "remax"}, {}),
    "truncated": ({"preset": "importance_sampling"}, {"learning_rate": 0.1, "top_p": 0.7, "truncated_trainer": True}),
    "whole vocabulary": ({"preset": "reinforce", "kl": "full", "kl_place": "loss"}, {}),
}


@pytest.mark.parametrize("name", ["transformer_policy", "log_linear_policy"])
@pytest.mark.parametrize("loss", ROADS)
def test_estimates_through_visited_prefixes_are_those_through_the_whole_table(loss, name, monkeypatch):
    parts, settings = ROADS[loss]
    objective = objectives.get("regularised_answers" if "kl" in parts else "right_answers")
    which = Problem(distributions.get(name, size=3, stale=int(bool(settings)), **settings), objective)
    estimator = PolicyGradient(**parts)

    def estimates() -> Any:
        torch.manual_seed(0)
        own = Gradients(which, estimator, 3)
        return own(50), own

    through_table, table = estimates()
    monkeypatch.setattr(gradients, "MOST_STORED", 0)
    through_draws, along = estimates()
    assert set(table.parameters) == {"logits"} and set(along.parameters) == set(which.theta())
    assert torch.allclose(through_table, through_draws, rtol=1e-9, atol=1e-14)
    assert through_table.abs().max() > 1e-3
    assert not torch.allclose(through_table, through_draws * (1 + 1e-6), rtol=1e-9, atol=1e-14)


def test_a_policy_along_its_draws_differs_between_replicates():
    """Not only the replicates of one θ, which share its table."""
    family_of_draws: Any = family().along_draws()
    theta = family().theta("default", "unconstrained")
    wide = {name: torch.stack([value, 2 * value]) for name, value in theta.items()}
    q, each = family_of_draws.build(wide), [family().build(family().encode(at, "")) for at in (theta, twice(theta))]
    z = each[0].enumerate_support()
    assert q.batch_shape == (2, 2)
    found = q.log_prob_steps(z.unsqueeze(1).expand(-1, 2, -1, -1, -1))
    for r in range(2):
        assert torch.allclose(found[:, r], each[r].log_prob_steps(z), rtol=1e-9, atol=1e-12)
        assert torch.allclose(q.logits[r], each[r].logits, rtol=1e-9, atol=1e-12)
    assert torch.equal(q.mode, torch.stack([one.mode for one in each]))


def twice(theta: Any) -> Any:
    return {name: 2 * value for name, value in theta.items()}


def test_a_large_table_is_never_differentiated():
    """8 tokens, 6 at most: 19,608 prefixes of each prompt. A step makes no tensor of that size."""
    which = problem(settings={"size": 6, "vocabulary": 8})
    own = Gradients(which, PolicyGradient(), 4)
    assert which.family.prefixes == 19_608 and set(own.parameters) == set(which.theta())
    with Sizes() as sizes:
        assert own(2).isfinite().all()
    assert sizes.largest < which.family.prefixes


def test_stale_behaviours_step_in_the_parameters_of_the_network():
    which = family(stale=2, optimiser="adam", learning_rate=0.01)
    theta = which.theta("default", "unconstrained")
    moved = {name: value.clone().requires_grad_() for name, value in theta.items()}
    stepper = torch.optim.Adam(moved.values(), lr=0.01)
    for _ in range(2):
        stepper.zero_grad()
        by_hand(which, moved).backward()
        stepper.step()
    with torch.no_grad():
        assert np.allclose(which.beside[0], which.encode(moved, "unconstrained")["logits"], rtol=1e-6, atol=1e-8)


def test_estimates_and_moments():
    which = problem(settings={"stale": 1, "optimiser": "adam", "learning_rate": 0.05})
    exact = reference(which)
    assert exact is not None
    g = as_vector(exact.gradient)
    torch.manual_seed(0)
    for estimator in (estimators.get("rloo"), PolicyGradient()):
        assert_unbiased(Gradients(which, estimator, 4)(10_000), g, resolution=0.15)
    on_policy = PolicyGradient(preset="reinforce")
    drawn = Gradients(which, on_policy, 1)(40_000)
    moments = rollout_moments(which, on_policy)
    assert_unbiased(drawn, moments.mean, resolution=0.15)
    assert_biased(drawn, g)
    assert abs(float(drawn.var(0).sum() / moments.variance.sum()) - 1) < 0.1


def test_wrong_settings():
    with pytest.raises(BadInput, match="did you mean 'early'"):
        family(stage="erly")
    with pytest.raises(BadInput, match="width"):
        family(width=0)
