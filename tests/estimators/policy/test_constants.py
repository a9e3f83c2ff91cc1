"""A constant added to all rewards changes the mean by E_μ[w s] times it.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

from typing import Any

import pytest

from estimators.policy.loss import PolicyLoss
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import BEHAVIOUR, RIGHT, THETA, expected_reward, gradient, mean_estimate, same, tables

REWARD = gradient(expected_reward())


def moved(loss: PolicyLoss, K: int = 1, **more: Any) -> float:
    """The largest change of the mean by a constant of 5."""
    together = {"behaviour": more.pop("behaviour", BEHAVIOUR)} | more
    return float(
        (mean_estimate(loss, K, rewards=RIGHT + 5, **together) - mean_estimate(loss, K, **together)).abs().max()
    )


def test_a_constant_changes_nothing_with_unclipped_ratios_and_token_sums():
    for ratio in ("token", "prefix", "sequence"):
        assert moved(PolicyLoss(ratio=ratio)) < 1e-12, ratio


@pytest.mark.parametrize(
    "parts",
    [
        {"ratio": "none"},
        {"ratio": "token", "limit": "clip"},
        {"ratio": "token", "limit": "detached", "high": 1.1},
        {"ratio": "geometric"},
        {"ratio": "sequence", "aggregate": "sequence_mean"},
        {"ratio": "sequence", "aggregate": "group_token_mean"},
    ],
    ids=str,
)
def test_a_constant_changes_everything_else_without_a_baseline(parts):
    K = 2 if parts.get("aggregate") == "group_token_mean" else 1
    assert moved(PolicyLoss(**parts), K) > 1e-3


@pytest.mark.parametrize("rule", ["truncate", "mask"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_constant_changes_a_truncated_or_masked_correction(rule, level):
    current = tables(proximal=tiny.log_steps(THETA))
    free = PolicyLoss(correction=level)
    assert moved(free, **current) < 1e-12
    bound = PolicyLoss(correction=level, correction_rule=rule, correction_high=1.1)
    assert moved(bound, **current) > 1e-3


def test_a_constant_changes_a_length_normalised_mean_even_on_policy():
    assert moved(PolicyLoss(aggregate="sequence_mean"), behaviour=THETA) > 1e-3
    assert moved(PolicyLoss(aggregate="sequence_mean", baseline="leave_one_out"), 2, behaviour=THETA) < 1e-12


def test_a_critic_moves_with_the_constant():
    values, loss = tiny.values_of(RIGHT), PolicyLoss(baseline="critic", lam=0.5)
    with_it = mean_estimate(loss, rewards=RIGHT + 5, values=values + 5)
    assert same(with_it, REWARD)
    assert not same(mean_estimate(loss, rewards=RIGHT + 5, values=values), REWARD)
