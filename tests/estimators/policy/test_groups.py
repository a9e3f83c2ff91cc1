"""Groups: means that contain the own rollout, division by a deviation, groups of equal rewards.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

import math

import pytest
import torch

from estimators.policy.loss import PolicyLoss
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import (
    BEHAVIOUR,
    GRADED,
    LENGTH,
    THETA,
    degrees,
    expected_reward,
    gradient,
    mean_estimate,
    same,
)

REWARD = gradient(expected_reward())
BETA = 0.7


def test_the_policy_is_a_law_and_its_score_has_mean_zero():
    assert torch.allclose(tiny.log_law(THETA).exp().sum(-1), torch.ones(2, dtype=torch.float64))
    total = (tiny.log_law(THETA).exp()[..., None] * tiny.scores().sum(-2)).sum(-2)
    assert total.abs().max() < 1e-12
    assert {1.0, 2.0, 3.0} == set(LENGTH.flatten().tolist())


@pytest.mark.parametrize("K", [2, 3])
def test_group_mean_is_leave_one_out_shrunk(K):
    one_out = PolicyLoss(baseline="leave_one_out")
    assert same(mean_estimate(one_out, K), REWARD)
    group = mean_estimate(PolicyLoss(baseline="group_mean"), K)
    assert same(group, (1 - 1 / K) * REWARD)
    assert not same(group, REWARD)
    rewards = GRADED[:, :K]
    ratio = PolicyLoss(baseline="group_mean").advantages(rewards) / one_out.advantages(rewards)
    assert torch.allclose(ratio, torch.full_like(ratio, 1 - 1 / K))


@pytest.mark.parametrize("K", [1, 2])
def test_a_mean_over_the_batch_shrinks_by_its_number_of_rollouts(K):
    N = 2 * K
    found = mean_estimate(PolicyLoss(baseline="batch_mean"), K, together=True)
    assert same(found, (1 - 1 / N) * REWARD)
    assert not same(found, (1 - 1 / K) * REWARD)


def deviation_factor(p: float, K: int) -> float:
    """E_{j~Bin(K,p)} √(j(K−j)) / (K p (1−p))."""
    law = [math.comb(K, j) * p**j * (1 - p) ** (K - j) for j in range(K + 1)]
    return sum(w * math.sqrt(j * (K - j)) for j, w in enumerate(law)) / (K * p * (1 - p))


@pytest.mark.parametrize("K", [2, 3, 4])
@pytest.mark.parametrize("bessel", [False, True])
def test_a_group_deviation_weighs_prompts_by_difficulty_alone(K, bessel):
    found = mean_estimate(PolicyLoss(baseline="group_mean", scale="group", bessel=bessel), K)
    p = expected_reward()(THETA)
    c = [deviation_factor(float(each), K) * (math.sqrt((K - 1) / K) if bessel else 1) for each in p]
    for b in range(2):
        assert same(found[b], c[b] * REWARD[b])
    assert (abs(c[0] / c[1] - 1) < 1e-12) == (K < 4)  # no weight at K = 2 and 3
    assert same(found, REWARD) == (K == 2 and not bessel)


def test_off_policy_the_others_are_counted_under_the_behaviour():
    K, loss = 4, PolicyLoss(baseline="group_mean", scale="group", bessel=False, ratio="sequence")
    found = mean_estimate(loss, K, behaviour=BEHAVIOUR)

    def factor(p: float) -> float:
        law = [math.comb(K - 1, j) * p**j * (1 - p) ** (K - 1 - j) for j in range(K)]
        right = [(1 - (j + 1) / K) / math.sqrt((j + 1) * (K - j - 1)) * K if j + 1 < K else 0.0 for j in range(K)]
        wrong = [-(j / K) / math.sqrt(j * (K - j)) * K if j else 0.0 for j in range(K)]
        return sum(w * (a - b) for w, a, b in zip(law, right, wrong, strict=True))

    ours, theirs = expected_reward()(THETA), expected_reward()(BEHAVIOUR)
    for b in range(2):
        assert same(found[b], factor(float(theirs[b])) * REWARD[b])
        assert not same(found[b], factor(float(ours[b])) * REWARD[b])
        assert factor(float(ours[b])) == pytest.approx(deviation_factor(float(ours[b]), K), rel=1e-12)


def test_graded_rewards_are_bent_by_a_group_deviation():
    exact = gradient(expected_reward(GRADED))
    found = mean_estimate(PolicyLoss(baseline="group_mean", scale="group"), 3, rewards=GRADED)
    assert max(degrees(found[b], exact[b]) for b in range(2)) > 0.5


def test_dropping_equal_groups_weighs_prompts_that_are_kept_more_often():
    K, p = 2, expected_reward()(THETA).tolist()
    kept = [1 - each**K - (1 - each) ** K for each in p]
    weight = [(1 - other) + other / 2 for other in (kept[1], kept[0])]  # E[1/number kept | kept]
    found = mean_estimate(PolicyLoss(baseline="leave_one_out", filter="drop"), K, together=True)
    for b in range(2):
        assert same(found[b], 2 * weight[b] * REWARD[b])
    assert (kept[0] > kept[1]) == (weight[0] > weight[1]) and degrees(found, REWARD) > 0.01


def test_one_prompt_drawn_until_it_is_kept_weighs_one_over_its_chance():
    """A pool of tries of one prompt, of which the first kept group counts; 1 less the chance that none is kept."""
    K, tries = 2, 2
    index = tiny.tuples(K * tries).reshape(-1, tries, K)
    law = tiny.log_law(THETA)[0][index].sum((-2, -1)).exp()
    loss = PolicyLoss(baseline="leave_one_out", filter="refill", batch_size=1)

    def total(theta: torch.Tensor) -> torch.Tensor:
        return (law * -loss(tiny.rollouts_at(theta, index, [0] * tries))).sum()

    p = float(expected_reward()(THETA)[0])
    kept = 1 - p**K - (1 - p) ** K
    exact = 2 * REWARD / kept * (1 - (1 - kept) ** tries)  # REWARD is the mean of two prompts
    found = torch.func.grad(total)(THETA)
    assert same(found[0], exact[0])
    assert not same(found[0], 2 * REWARD[0])


def test_with_prompts_drawn_fresh_dropping_keeps_the_direction():
    K, loss = 2, PolicyLoss(baseline="leave_one_out", filter="drop")
    pairs = [[a, b] for a in range(2) for b in range(2)]
    index = tiny.tuples(K, 2)

    def total(theta: torch.Tensor) -> torch.Tensor:
        found = []
        for prompts in pairs:
            law = tiny.chosen(tiny.log_law(THETA), index, prompts).sum((-2, -1)).exp()
            found.append((law * -loss(tiny.rollouts_at(theta, index, prompts))).sum())
        return torch.stack(found).mean()

    found = torch.func.grad(total)(THETA)
    assert degrees(found, REWARD) < 1e-5 and not same(found, REWARD)


def test_with_a_kl_term_in_the_loss_dropped_groups_would_have_a_gradient():
    kept, dropped = (
        mean_estimate(PolicyLoss(baseline="leave_one_out", filter=f, kl="k2", beta=BETA, kl_place="loss"), 2)
        for f in ("keep", "drop")
    )
    assert degrees(kept[0], dropped[0]) > 1
