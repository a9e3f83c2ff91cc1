"""Rollouts drawn by one policy, ratios to another, gradients of a third: corrections against sums over all answers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.problems.rollout_moments import rollout_moments
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from estimators.needs import unmet
from estimators.policy import PolicyGradient
from tests.support.exactness import assert_unbiased
from tests.support.policies import exact_vector, policy

SETTINGS = {"size": 3, "stale": 3, "learning_rate": 0.5, "logit_noise": 0.4, "proximal_stale": 1}


def problem(name: str = "log_linear_policy", **settings: Any) -> Problem:
    objective = "accepted_answers" if name == "automaton_policy" else "right_answers"
    return Problem(distributions.get(name, **(SETTINGS | settings)), objectives.get(objective))


@pytest.mark.parametrize("name", ["automaton_policy", "log_linear_policy", "prefix_policy", "transformer_policy"])
def test_the_proximal_policy_is_as_many_steps_back(name):
    which: Any = problem(name, learning_rate=0.1)
    q, theta = policy(which), which.theta()

    def success(at: Any) -> Tensor:
        return which.reduce(which.objective.expectation(which.family, "default", which.encode(at)))

    before = {key: value - 0.1 * torch.func.grad(success)(theta)[key] for key, value in theta.items()}
    assert torch.allclose(q.proximal.logits, policy_at(which, before).logits, rtol=1e-9, atol=1e-12)
    for other in (q.logits, q.behaviour.logits):
        assert (q.proximal.logits - other).abs().max() > 1e-4
    assert torch.equal(policy(problem(name, proximal_stale=0)).proximal.logits, q.logits)
    assert policy(problem(name, proximal_stale=None)).proximal is None


def policy_at(which: Problem, theta: Any) -> Any:
    return which.build(which.encode(theta))


def test_a_truncated_trainer_truncates_the_proximal_policy_too():
    q = policy(problem(top_p=0.7, truncated_trainer=True))
    z = q.behaviour.sample((50,))
    kept = q.behaviour.logits > -torch.inf
    mass = q.proximal.rows((q.proximal.logits.softmax(-1) * kept).sum(-1, keepdim=True), q.prefix(z)).squeeze(-1)
    plain = policy(problem(top_p=0.7))
    steps = plain.proximal.log_prob_steps(z) - torch.where(q.mask(z) > 0, mass.log(), 0)
    assert torch.allclose(q.proximal.log_prob_steps(z), steps, rtol=1e-9, atol=1e-12)


CORRECTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "sequence": {"correction": "sequence"},
    "tis": {"correction": "token", "correction_high": 1.2},
    "mis": {"correction": "sequence", "correction_rule": "mask", "correction_low": 0.7, "correction_high": 1.4},
    "icepop": {"correction": "token", "correction_rule": "mask", "correction_low": 0.8, "correction_high": 1.25},
}


def weights(name: str, log_ratio: Tensor) -> Tensor:
    """The correction of each token, from log π_prox/μ of the tokens `[S, B, T]`."""
    token, whole = log_ratio.exp(), log_ratio.sum(-1, keepdim=True).exp().expand_as(log_ratio)
    return {
        "none": torch.ones_like(token),
        "sequence": whole,
        "tis": token.clamp_max(1.2),
        "mis": whole * ((whole >= 0.7) & (whole <= 1.4)),
        "icepop": token * ((token >= 0.8) & (token <= 1.25)),
    }[name]


def by_hand(which: Problem, ratio: str, correction: str) -> Tensor:
    """Σ_y μ(y) Σ_t weight_t r_t R(y) s_t, mean over prompts, with s_t by autograd."""
    q = policy(which)
    z = q.enumerate_support()
    mu, old, now = (each.log_prob_steps(z) for each in (q.behaviour, q.proximal, q))
    R = which.function(q.logits)(z, q)
    length, d = q.mask(z).sum(-1, keepdim=True), now - old
    log_r = {"token": d, "sequence": d.sum(-1, keepdim=True), "geometric": d.sum(-1, keepdim=True) / length}[ratio]
    C = (mu.sum(-1).exp() * R).unsqueeze(-1) * weights(correction, old - mu) * log_r.exp() * q.mask(z)

    def score(theta: Any) -> Tensor:
        return (C.detach() * policy_at(which, theta).log_prob_steps(z)).sum() / 2

    return as_vector(torch.func.grad(score)(which.theta()))


LOSSES = [
    (ratio, correction)
    for ratio in ("token", "sequence", "geometric")
    for correction in CORRECTIONS
    if (ratio, correction) != ("sequence", "none")  # refused: see the test below
]


@pytest.mark.parametrize(("ratio", "correction"), LOSSES)
def test_the_mean_of_a_corrected_loss_is_a_sum_over_all_answers(ratio, correction):
    which = problem()
    loss = PolicyGradient(preset="reinforce", ratio=ratio, **CORRECTIONS[correction])
    found, right = rollout_moments(which, loss).mean, exact_vector(which)
    assert torch.allclose(found, by_hand(which, ratio, correction), rtol=1e-9, atol=1e-13)
    exact = float((found - right).norm()) < 1e-10
    one_policy = rollout_moments(problem(proximal_stale=None), loss).mean
    assert (one_policy - found).norm() > 1e-3 or (ratio, correction) == ("sequence", "sequence")
    assert exact == ((ratio, correction) == ("sequence", "sequence")) == loss.traits.unbiased


def test_what_is_exact_without_a_correction_is_refused():
    which = problem()
    q, f = policy(which), which.function(next(iter(which.theta().values())))
    for preset in ("importance_sampling", "per_decision"):
        assert "correction='sequence'" in str(unmet(PolicyGradient(preset=preset), q, f, 4))
        corrected = PolicyGradient(preset=preset, correction="sequence")
        assert corrected.traits.unbiased and unmet(corrected, q, f, 4) is None
        assert unmet(PolicyGradient(preset=preset), policy(problem(proximal_stale=None)), f, 4) is None
    for preset in ("verl:tis", "verl:icepop", "gspo", "trl:grpo", "ppo"):
        assert unmet(PolicyGradient(preset=preset), q, f, 4) is None, preset


def test_draws_of_a_corrected_loss_have_its_exact_moments():
    which = problem()
    right = exact_vector(which)
    torch.manual_seed(0)
    for preset in ("importance_sampling", "per_decision"):
        loss = PolicyGradient(preset=preset, correction="sequence")
        assert_unbiased(Gradients(which, loss, 4)(3000), right, resolution=0.25)
    biased = PolicyGradient(preset="reinforce", ratio="token", **CORRECTIONS["tis"])
    moments = rollout_moments(which, biased)
    assert_unbiased(Gradients(which, biased, 1)(8000), moments.mean, resolution=0.2)
    assert float((moments.mean - right).norm() / right.norm()) > 0.05


def test_wrong_settings():
    with pytest.raises(BadInput, match="proximal_stale must be 0 steps or more"):
        problem(proximal_stale=-1)
    assert np.isfinite(problem().family.beside.proximal).all()  # type: ignore[attr-defined]
