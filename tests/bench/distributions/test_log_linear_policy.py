"""The token policy with an end token: its table, its behaviours, its rewards at each step, against enumeration."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import estimators
from bench.distributions import distributions
from bench.distributions.token_policy import TokenPolicy
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.objectives.right_answers import PricedReward
from bench.problems.problem import Problem
from bench.problems.rollout_moments import rollout_moments
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from estimators.policy import PolicyGradient
from estimators.policy.critics import errors_of_states
from tests.support.exactness import assert_biased, assert_unbiased
from tests.support.policies import exact_vector, policy

STALE = {"stale": 2, "optimiser": "adam", "learning_rate": 0.3, "logit_noise": 0.1}


def family(**settings: Any) -> Any:
    return distributions.get("log_linear_policy", **({"size": 3} | settings))


def problem(objective: str = "right_answers", settings: Any = None, **of_objective: Any) -> Problem:
    return Problem(family(**(settings or {})), objectives.get(objective, **of_objective))


def by_hand(which: Any, theta: dict[str, Tensor], price: float = 0.0) -> Tensor:
    """The mean over prompts of E[R − costs]: a loop over prompts, answers and tokens, by the formula of the logits."""
    T, V = which.size, which.vocabulary
    total = torch.zeros((), dtype=torch.float64)
    contents = [y for n in range(T + 1) for y in itertools.product(range(V - 1), repeat=n)]
    for b in range(which.prompts):
        for row, y in enumerate(contents):
            log_p = torch.zeros((), dtype=torch.float64)
            for t, token in enumerate([*y, V - 1][:T]):
                logits = theta["prompt"][b] + theta["position"][t]
                if t > 0:
                    logits = logits + theta["bigram"][y[t - 1]]
                for s in range(t):
                    logits = logits + theta["history"][y[s]]
                log_p = log_p + logits.log_softmax(-1)[token]
            cost = sum(price * (token + 1) / V for token in y)
            total = total + log_p.exp() * (which.right()[b, row] - cost)
    return total / which.prompts


@pytest.mark.parametrize("price", [0.0, 0.3])
def test_the_exact_gradient_is_that_of_a_loop_over_answers(price):
    which = problem("priced_answers", {"prompts": 3, "law": "long"}, price=price)
    slope = as_vector(torch.func.grad(lambda at: by_hand(which.family, at, price))(which.theta()))
    assert torch.allclose(exact_vector(which), slope, rtol=1e-10, atol=1e-14)
    assert not torch.allclose(exact_vector(which), exact_vector(problem(settings={"prompts": 3})))


def test_its_logits_are_those_of_the_policy_without_an_end_token():
    """Sequences in which the end token never stands have the same next-token laws."""
    which = problem(settings={"size": 4})
    theta, q = which.theta(), policy(which)

    def square(name: str) -> Tensor:
        return torch.cat([theta[name], torch.full((1, 4), 7.0, dtype=torch.float64)]).expand(2, -1, -1)

    start = theta["prompt"][:, None] + theta["position"]
    without = TokenPolicy(start, square("bigram"), square("history"), validate_args=False)
    index = torch.randint(3, (50, 2, 4), generator=torch.Generator().manual_seed(0))
    z = torch.eye(4, dtype=torch.float64)[index]
    assert torch.allclose(q.next_log_probs(z), without.log_probs(z), rtol=1e-12)
    assert torch.allclose(q.log_prob_steps(z), without.log_prob_steps(z), rtol=1e-12)


def test_mask_steps_reference_and_behaviour():
    which = problem(settings=STALE)
    q = policy(which)
    z = q.enumerate_support()
    length = (z[..., -1].cumsum(-1) == 0).sum(-1).add(1).clamp_max(3)
    assert torch.equal(q.mask(z).sum(-1), length.to(q.logits.dtype))
    for each in (q, q.behaviour, q.reference):
        steps = each.log_prob_steps(z)
        assert torch.allclose(steps.sum(-1), each.log_prob(z), rtol=1e-12)
        assert torch.allclose(each.log_prob(z).exp().sum(0), torch.ones(2, dtype=torch.float64))
        assert not steps[q.mask(z) == 0].any()
    theta = which.theta()
    moved = {name: value.clone().requires_grad_() for name, value in theta.items()}
    stepper = torch.optim.Adam(moved.values(), lr=0.3)
    for _ in range(2):
        stepper.zero_grad()
        by_hand(which.family, moved).backward()
        stepper.step()
    noise = torch.tensor(np.random.default_rng(11).normal(size=q.logits.shape))
    stale = which.family.encode(moved, "unconstrained")["logits"].detach() + 0.1 * noise
    assert torch.allclose(q.behaviour.logits, stale, rtol=1e-6, atol=1e-8)
    near, far = (policy(problem(settings={"reference_noise": sd})) for sd in (0.0, 1.0))
    assert torch.equal(near.reference.logits, near.logits) and not torch.allclose(far.reference.logits, far.logits)


def test_scale_is_a_policy_late_in_training():
    entropy = []
    for scale in (1.0, 5.0):
        law = policy(problem(settings={"scale": scale})).sequence_log_probs()
        entropy.append(float(-(law.exp() * law).sum(-1).mean()))
    assert entropy[1] < 0.7 * entropy[0]
    with pytest.raises(BadInput, match="scale must be above 0"):
        family(scale=0.0)


def priced() -> tuple[Problem, Any, PricedReward]:
    which = problem("priced_answers", price=0.4)
    f: Any = which.function(next(iter(which.theta().values())))
    return which, policy(which), f


def test_rewards_of_steps_are_those_of_a_loop():
    which, q, f = priced()
    z = q.enumerate_support()
    right: Any = which.family
    expected = torch.zeros(len(z), 2, 3, dtype=torch.float64)
    for s, b in itertools.product(range(len(z)), range(2)):
        tokens = z[s, b].argmax(-1).tolist()
        last = tokens.index(3) if 3 in tokens else 2
        for t in range(last + 1):
            expected[s, b, t] = -0.4 * (tokens[t] + 1) / 4 if tokens[t] < 3 else 0.0
        expected[s, b, last] += right.right()[b, s]
    torch.testing.assert_close(f.each(z, q), expected)
    torch.testing.assert_close(f(z, q), expected.sum(-1))


def test_state_values_are_the_conditional_means():
    _, q, f = priced()
    z = q.enumerate_support()
    law, to_go = q.log_prob(z).exp(), f.each(z, q).flip(-1).cumsum(-1).flip(-1)
    values = f.state_values(z, q)
    for b, t in itertools.product(range(2), range(3)):
        known = z[:, b, :t].flatten(1)
        same = (known[:, None] == known[None]).all(-1).to(law.dtype)
        mean = (same @ (law[:, b] * to_go[:, b, t])) / (same @ law[:, b])
        assert torch.allclose(values[:, b, t], torch.where(q.mask(z)[:, b, t] > 0, mean, 0), rtol=1e-10, atol=1e-13)


CRITIC: Any = {"preset": "reinforce", "baseline": "critic"}


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_generalised_advantages_are_exact_for_every_lambda_with_exact_values(lam):
    which, q, f = priced()
    values = f.state_values(q.enumerate_support(), q)
    right = exact_vector(which)

    def bias(found: Tensor) -> float:
        return float((found - right).norm() / right.norm())

    assert bias(rollout_moments(which, PolicyGradient(**CRITIC, lam=lam)).mean) < 1e-10
    to_go = PolicyGradient(preset="reinforce", returns="to_go")
    assert bias(rollout_moments(which, to_go).mean) < 1e-10
    # an answer ends where its end token stands, so even a constant error bends the direction, but not at λ = 1
    wrong = bias(rollout_moments(which, PolicyGradient(**CRITIC, lam=lam, critic_error=0.5)).mean)
    assert wrong < 1e-10 if lam == 1 else wrong > 1e-3
    assert values.abs().max() > 0.1


@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
def test_the_bias_of_ppos_critic_is_its_formula(lam):
    """E Σ_t s_t [(1 − λ) Σ_{t<u≤L} λ^{u−t−1} e_u], L the last token: errors after the end are none."""
    which, q, _ = priced()
    z = q.enumerate_support()
    errors: Any = ({"critic_error": 0.5}, {"critic_state_error": 0.5})
    for error in errors:
        wrong: Any = PolicyGradient(**CRITIC, lam=lam, **error)
        e = wrong_by(error, q, z)
        law = q.log_prob(z).exp()

        def formula(at: Any, e: Tensor = e, law: Tensor = law) -> Tensor:
            steps, total = policy_at(which, at).log_prob_steps(z), torch.zeros((), dtype=torch.float64)
            for t, u in itertools.combinations(range(3), 2):
                total = total + (law * (1 - lam) * lam ** (u - t - 1) * e[..., u] * steps[..., t]).sum()
            return total / 2

        expected = as_vector(torch.func.grad(formula)(which.theta()))
        found = rollout_moments(which, wrong).mean - exact_vector(which)
        assert (found - expected).norm() < 1e-10 and (expected.norm() > 1e-3) == (lam < 1)


def wrong_by(error: Any, q: Any, z: Tensor) -> Tensor:
    """The error of a critic before each token, 0 after the end."""
    state = errors_of_states(q, z)
    return q.mask(z) * (error.get("critic_error", 0.0) + error.get("critic_state_error", 0.0) * state)


def policy_at(which: Problem, theta: Any) -> Any:
    return which.build(which.encode(theta))


def test_estimates_follow_their_exact_moments():
    which, _, _ = priced()
    right = exact_vector(which)
    each: Any = ({"returns": "to_go"}, {"baseline": "critic", "lam": 0.5})
    for parts in each:
        estimator = PolicyGradient(preset="reinforce", **parts)
        torch.manual_seed(0)
        drawn, moments = Gradients(which, estimator, 1)(8000), rollout_moments(which, estimator)
        assert_unbiased(drawn, right, resolution=0.2)
        assert abs(float(drawn.var(0).sum() / moments.variance.sum()) - 1) < 0.15


def test_estimators_of_the_suite_stale_and_not():
    which = problem("priced_answers", STALE)
    right = exact_vector(which)
    torch.manual_seed(0)
    for estimator in (estimators.get("rloo"), estimators.get("downstream"), PolicyGradient()):
        assert_unbiased(Gradients(which, estimator, 4)(2000), right, resolution=0.25)
    assert_biased(Gradients(which, PolicyGradient(preset="reinforce"), 4)(4000), right)
