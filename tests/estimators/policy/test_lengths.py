"""Means over tokens bend the direction wherever lengths differ.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

import torch

from estimators.policy.loss import PolicyLoss
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import LENGTH, THETA, degrees, expected_reward, gradient, mean_estimate, same

REWARD = gradient(expected_reward())


def length_slope(update: torch.Tensor) -> float:
    """The derivative of E L along the unit update."""
    slope = gradient(lambda theta: (tiny.log_law(theta).exp() * LENGTH).sum(-1))
    return float((slope * update).sum() / update.norm())


def test_a_mean_over_tokens_bends_the_direction_and_depends_on_the_baseline():
    bent = [mean_estimate(PolicyLoss(baseline=b, aggregate="sequence_mean"), 3) for b in ("none", "leave_one_out")]
    angles = [degrees(each, REWARD) for each in bent]
    assert min(angles) > 2 and abs(angles[0] - angles[1]) > 1
    assert abs(length_slope(bent[0]) - length_slope(REWARD)) > 0.01
    right = mean_estimate(PolicyLoss(baseline="leave_one_out", aggregate="token_sum", divisor=3.0), 3)
    assert same(right, REWARD / 3)


def test_with_equal_lengths_no_aggregate_bends():
    never = THETA.clone()
    never[..., -1] -= 60.0  # no end token: all sequences have length 3
    index = tiny.tuples(2)
    law = tiny.chosen(tiny.log_law(never), index, [0]).sum((-2, -1)).exp()
    exact = torch.func.grad(lambda theta: expected_reward()(theta)[0])(never)
    for aggregate in ("sequence_mean", "group_token_mean", "batch_token_mean", "padded_mean"):
        loss = PolicyLoss(baseline="leave_one_out", aggregate=aggregate)

        def total(theta: torch.Tensor, loss: PolicyLoss = loss) -> torch.Tensor:
            return (law * -loss(tiny.rollouts_at(theta, index, [0], behaviour=never))).sum()

        assert same(torch.func.grad(total)(never), exact / 3), aggregate


def test_a_token_mean_of_the_group_weighs_prompts():
    """The part of each prompt's mean along its own gradient: one number for all with a token sum."""

    def weights(aggregate: str) -> list[float]:
        found = mean_estimate(PolicyLoss(baseline="leave_one_out", aggregate=aggregate), 2)
        return [float((found[b] * REWARD[b]).sum() / REWARD[b].square().sum()) for b in range(2)]

    group, total = weights("group_token_mean"), weights("token_sum")
    assert abs(group[0] / group[1] - 1) > 0.01 and abs(total[0] / total[1] - 1) < 1e-12


def test_a_whitening_over_tokens_bends_within_a_prompt_and_a_deviation_of_rollouts_does_not():
    white = mean_estimate(PolicyLoss(scale="whitening"), 3)
    plain = mean_estimate(PolicyLoss(baseline="group_mean", scale="batch"), 3)
    assert max(degrees(white[b], REWARD[b]) for b in range(2)) > 1
    assert max(degrees(plain[b], REWARD[b]) for b in range(2)) < 1e-5


def test_a_token_mean_of_the_group_is_closer_to_a_scale_with_more_rollouts():
    angles = [
        degrees(mean_estimate(PolicyLoss(baseline="leave_one_out", aggregate="batch_token_mean"), K)[0], REWARD[0])
        for K in (2, 4)
    ]
    assert angles[0] > angles[1] > 1e-3
