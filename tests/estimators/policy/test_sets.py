"""pass@k and max@k: weights of draws, unbiased for all three forms.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

import math

import pytest
import torch

from estimators.policy.loss import PolicyLoss
from estimators.policy.sets import SET_PARTS
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import (
    BEHAVIOUR,
    GRADED,
    RIGHT,
    THETA,
    apart,
    expected_reward,
    gradient,
    mean_estimate,
    same,
    variance,
)


def best_of(k: int, rewards: torch.Tensor) -> torch.Tensor:
    """∇ E max of k rollouts, by enumeration of all k-tuples."""
    index = tiny.tuples(k)

    def value(theta: torch.Tensor) -> torch.Tensor:
        law = torch.stack([tiny.log_law(theta)[b][index[:, 0]].sum(-1).exp() for b in range(2)])
        return (law * torch.stack([rewards[b][index[:, 0]].amax(-1) for b in range(2)])).sum(-1)

    return gradient(value)


SIZES = [
    (form, n, k)
    for form in ("plain", "leave_one_out", "leave_one_out_sets")
    for n, k in ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3))
    if form != "leave_one_out_sets" or n > k
]


@pytest.mark.parametrize("rewards", [RIGHT, GRADED], ids=["right", "graded"])
@pytest.mark.parametrize(("form", "n", "k"), SIZES)
def test_weights_of_sets_are_unbiased(form, n, k, rewards):
    exact = best_of(k, rewards)
    found = mean_estimate(PolicyLoss(set=form, k=k), n, rewards=rewards)
    assert same(found, exact)
    if k > 1:
        assert not same(found, gradient(expected_reward(rewards)))
        assert not same(mean_estimate(PolicyLoss(set=form, k=k - 1), n, rewards=rewards), exact)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (5, 2), (7, 3), (4, 4)])
def test_weights_of_right_and_wrong_draws_in_closed_form(n, k):
    for c in range(n + 1):
        rewards = torch.tensor([1.0] * c + [0.0] * (n - c), dtype=torch.float64)
        C = math.comb
        right = {"plain": k / n, "leave_one_out": k / n * C(n - c, k - 1) / C(n - 1, k - 1)}
        wrong = {"plain": k / n * (1 - C(max(n - 1 - c, 0), k - 1) / C(n - 1, k - 1)), "leave_one_out": 0.0}
        if n > k:
            right["leave_one_out_sets"] = k / n * C(n - c, k) / C(n - 1, k)
            wrong["leave_one_out_sets"] = (k / n) * (
                C(max(n - 1 - c, 0), k) / C(n - 1, k) - C(max(n - 1 - c, 0), k - 1) / C(n - 1, k - 1)
            )
        for form, of_right in right.items():
            w = SET_PARTS[form](rewards, k)
            assert torch.allclose(w[:c], torch.full_like(w[:c], of_right), atol=1e-14), (form, c)
            assert torch.allclose(w[c:], torch.full_like(w[c:], wrong[form]), atol=1e-14), (form, c)


def test_which_baseline_of_a_set_has_less_variance_depends_on_the_success_rate():
    """Rare success: at k = 1 a baseline adds noise, and the other k − 1 are better than all other sets of k."""
    law = tiny.log_law(THETA)
    rare = (law == law.amin(-1, keepdim=True)).double()

    def found(form: str, k: int, rewards: torch.Tensor) -> torch.Tensor:
        return variance(PolicyLoss(set=form, k=k), 3, rewards=rewards)

    for rewards, is_rare in ((rare, True), (1 - rare, False)):
        assert ((found("leave_one_out_sets", 1, rewards) > found("plain", 1, rewards)) == is_rare).all()
        assert ((found("leave_one_out_sets", 2, rewards) > found("leave_one_out", 2, rewards)) == is_rare).all()
    none, one_out = (variance(PolicyLoss(baseline=each), 3, rewards=rare) for each in ("none", "leave_one_out"))
    assert (one_out > none).all()


def test_off_policy_the_own_rollout_s_ratio_does_not_correct_the_others():
    exact = best_of(2, RIGHT)
    for form in ("plain", "leave_one_out"):
        found = mean_estimate(PolicyLoss(set=form, k=2, ratio="sequence"), 2, behaviour=BEHAVIOUR)
        assert apart(found, exact) > 0.01
