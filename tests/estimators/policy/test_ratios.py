"""Off-policy: which ratio is exact with what, critics, truncated behaviours.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

from typing import Any

import pytest
import torch

from estimators.policy.loss import PolicyLoss
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import (
    BEHAVIOUR,
    COSTS,
    RIGHT,
    THETA,
    apart,
    expected_reward,
    gradient,
    mean_estimate,
    same,
    tables,
    variance,
)

REWARD = gradient(expected_reward())


def test_the_sequence_ratio_is_unbiased_and_others_are_not():
    for loss in (PolicyLoss(ratio="sequence"), PolicyLoss(ratio="prefix", returns="reweighted_to_go")):
        assert same(mean_estimate(loss, behaviour=BEHAVIOUR), REWARD)
    for baseline in ("leave_one_out", "greedy"):
        loss = PolicyLoss(ratio="sequence", baseline=baseline)
        found = mean_estimate(loss, 2, behaviour=BEHAVIOUR, **(greedy() if baseline == "greedy" else {}))
        assert same(found, REWARD), baseline
    for wrong in ("none", "token", "prefix", "geometric", "geometric_differentiated"):
        assert apart(mean_estimate(PolicyLoss(ratio=wrong), behaviour=BEHAVIOUR), REWARD) > 0.01, wrong


def greedy() -> dict[str, Any]:
    return tables(greedy_rewards=torch.tensor([0.3, 1.7], dtype=torch.float64))


def test_the_prefix_ratio_is_exact_with_exact_advantages():
    values = tiny.values_of(RIGHT)
    critic = PolicyLoss(ratio="prefix", baseline="critic", horizon=1)
    assert same(mean_estimate(critic, behaviour=BEHAVIOUR, values=values), REWARD)
    token = PolicyLoss(ratio="token", baseline="critic", horizon=1)
    assert not same(mean_estimate(token, behaviour=BEHAVIOUR, values=values), REWARD)
    whole = PolicyLoss(ratio="prefix", baseline="critic")
    assert not same(mean_estimate(whole, behaviour=BEHAVIOUR, values=values), REWARD)


def test_costs_of_steps_take_the_prefix_up_to_the_cost():
    exact = gradient(lambda theta: (tiny.log_law(theta).exp() * COSTS.sum(-1)).sum(-1))
    zero = tables(rewards=torch.zeros_like(RIGHT), step_rewards=COSTS)
    right = PolicyLoss(ratio="prefix", returns="reweighted_to_go")
    assert same(mean_estimate(right, behaviour=BEHAVIOUR, **zero), exact)
    wrong = PolicyLoss(ratio="prefix", returns="to_go")
    assert not same(mean_estimate(wrong, behaviour=BEHAVIOUR, **zero), exact)
    for returns in ("whole", "to_go"):
        assert same(mean_estimate(PolicyLoss(returns=returns), **zero), exact)


def test_the_variance_of_a_sequence_ratio_grows_with_the_distance():
    found = [variance(PolicyLoss(ratio="sequence"), 1, THETA + a * tiny.logits(1, 1.0)).sum() for a in (0.0, 1.0, 2.0)]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_exact_values_are_unbiased_for_every_lambda_and_wrong_ones_for_one_alone(lam, horizon):
    loss, values = PolicyLoss(baseline="critic", lam=lam, horizon=horizon), tiny.values_of(RIGHT)
    assert same(mean_estimate(loss, values=values), REWARD)
    wrong = mean_estimate(loss, values=values + 0.3)
    assert same(wrong, REWARD) == (lam == 1.0 and horizon == 0)
    assert not same(
        mean_estimate(PolicyLoss(baseline="critic", lam=lam, horizon=horizon, gamma=0.9), values=values), REWARD
    )


@pytest.mark.parametrize("ratio", ["none", "token", "prefix", "sequence", "geometric", "geometric_differentiated"])
@pytest.mark.parametrize("limit", ["none", "clip", "dual_clip", "detached"])
def test_a_ratio_of_value_one_has_reinforce_s_gradient(ratio, limit):
    assert same(mean_estimate(PolicyLoss(ratio=ratio, limit=limit)), REWARD)


def truncated(theta: torch.Tensor, most: int = 2) -> torch.Tensor:
    """The logits of the `most` probable tokens of each prefix, the others at −∞ but for rounding."""
    least = theta.topk(most, -1).values[..., -1:]
    return torch.where(theta >= least, theta, -80.0)


def test_a_truncated_behaviour_lacks_what_is_never_drawn_by_any_ratio():
    cut = truncated(THETA)
    drawn = (tiny.log_law(cut) > -50).double()
    lacking = gradient(lambda theta: (tiny.log_law(theta).exp() * RIGHT * drawn).sum(-1))
    total = mean_estimate(PolicyLoss(ratio="sequence"), behaviour=cut, rewards=RIGHT * drawn)
    assert same(total, lacking)
    assert apart(total, REWARD) > 0.05
    shifted = mean_estimate(PolicyLoss(ratio="sequence"), behaviour=cut, rewards=(RIGHT - 0.5) * drawn)
    assert not same(shifted, lacking)  # its size depends on the baseline
