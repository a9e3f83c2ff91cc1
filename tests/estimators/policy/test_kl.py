"""KL terms: which of them is the gradient of which divergence.

By enumeration in float64; every test names a variant that must not satisfy its statement.
"""

import math
from dataclasses import replace

import pytest
import torch

from estimators.policy.loss import PolicyLoss
from estimators.policy.rollouts import Rollouts
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import (
    BEHAVIOUR,
    RIGHT,
    THETA,
    apart,
    expected_reward,
    gradient,
    kl,
    mean_estimate,
    reverse_kl,
    same,
    tables,
    variance,
)

REWARD = gradient(expected_reward())
BETA = 0.7


def test_k1_in_the_reward_is_exact_whole_and_to_go():
    exact = REWARD - BETA * gradient(kl)
    for returns in ("whole", "to_go"):
        for after in (False, True):
            loss = PolicyLoss(returns=returns, kl="k1", beta=BETA, kl_after=after)
            assert same(mean_estimate(loss), exact)
            assert same(mean_estimate(replace(loss, baseline="leave_one_out"), 2), exact)


def test_to_go_has_not_always_the_lower_variance():
    """Where the reward makes up for the first token's penalty, leaving that out of later tokens' returns adds noise."""
    first = tiny.log_steps(THETA)[..., 0] - tiny.log_steps(tiny.REFERENCE)[..., 0]
    for rewards, lower in ((first, False), (0 * first, True)):
        whole, to_go = (
            variance(PolicyLoss(returns=each, kl="k1", beta=1.0), rewards=rewards) for each in ("whole", "to_go")
        )
        assert ((to_go < whole) == lower).all()


def in_loss(kl_form: str, level: str, place: str = "loss", K: int = 1, **more) -> torch.Tensor:
    """The mean gradient of the KL term alone, for β = 1, with its sign: what a minimiser adds."""
    loss = PolicyLoss(kl=kl_form, kl_level=level, kl_place=place, beta=1.0, **more)
    return -mean_estimate(loss, K, rewards=torch.zeros_like(RIGHT))


def test_k1_in_the_loss_has_mean_zero():
    for level in ("token", "sequence"):
        assert in_loss("k1", level).abs().max() < 1e-12
    assert in_loss("k2", "token").abs().max() > 1e-3


def test_sequence_k2_in_the_loss_and_k3_times_a_differentiated_ratio_are_exact():
    exact = gradient(kl)
    assert same(in_loss("k2", "sequence"), exact)
    assert same(in_loss("k2", "sequence", K=2), exact)
    assert same(in_loss("k3", "sequence", "loss_times_ratio"), exact)
    assert same(in_loss("k1", "sequence", "loss_times_ratio"), exact)
    assert not same(in_loss("k2", "token"), exact)


def test_sequence_k3_is_the_reverse_divergence_in_the_loss_and_their_difference_in_the_reward():
    exact, reverse = gradient(kl), gradient(reverse_kl)
    assert same(in_loss("k3", "sequence"), reverse)
    assert not same(in_loss("k3", "sequence"), exact)
    assert same(in_loss("k3", "sequence", "reward"), exact - reverse)


def test_k3_in_the_reward_has_almost_no_gradient_near_the_reference():
    sizes = []
    for distance in (0.02, 0.01):
        reference = THETA + distance * tiny.logits(2, 1.0)
        loss = PolicyLoss(kl="k3", kl_level="sequence", beta=1.0)
        found = mean_estimate(loss, rewards=torch.zeros_like(RIGHT), reference=tiny.log_steps(reference))
        sizes.append((float(found.norm()), float(gradient(lambda theta: kl(theta, reference)).norm())))  # noqa: B023
    (far, far_kl), (near, near_kl) = sizes
    assert far / near == pytest.approx(4, rel=0.1)
    assert far_kl / near_kl == pytest.approx(2, rel=0.1)


def test_per_token_terms_have_one_mean_that_lacks_later_tokens():
    k2, k3 = in_loss("k2", "token"), in_loss("k3", "token", "loss_times_ratio")
    full = in_loss("full", "token")
    assert same(k2, full) and same(k3, full)
    assert apart(full, gradient(kl)) > 0.02
    first = gradient(kl)[:, 0] - full[:, 0]
    assert first.abs().max() > 1e-3  # the first token's logits lack the effect on later prefixes …
    assert same(full[:, 3:], gradient(kl)[:, 3:])  # … and those of the last tokens lack nothing
    assert not same(in_loss("k3", "token"), full)


def test_a_detached_ratio_leaves_k3():
    """With a ratio of the loss that is not differentiated, k3 keeps its own derivative: on-policy the ratio is 1."""
    assert same(in_loss("k3", "token", "loss", ratio="token"), in_loss("k3", "token"))
    assert not same(in_loss("k3", "token", "loss_times_ratio"), in_loss("k3", "token"))


@pytest.mark.parametrize("form", ["full", "k2"])
def test_the_vocabulary_s_term_with_k1_of_later_tokens_is_exact(form):
    exact = gradient(kl)
    assert same(in_loss(form, "token", "loss_and_later_reward"), exact)
    assert not same(in_loss(form, "token"), exact)


def test_the_whole_vocabulary_lowers_the_variance():
    """The full term adds its gradient at the visited prefixes; the score's part is that of later tokens alone."""
    zero = tables(rewards=torch.zeros_like(RIGHT))
    mixed = full_variance(PolicyLoss(kl="full", beta=1.0, kl_place="loss_and_later_reward"), **zero)
    in_reward = variance(PolicyLoss(kl="k1", beta=1.0, returns="to_go"), **zero)
    assert (mixed < in_reward).all()
    full = full_variance(PolicyLoss(kl="full", beta=1.0, kl_place="loss"), **zero)
    k2 = full_variance(PolicyLoss(kl="k2", beta=1.0, kl_place="loss"), **zero)
    assert (full < k2 / 3).all()


def full_variance(loss: PolicyLoss, **more: torch.Tensor) -> torch.Tensor:
    """As `variance`, with the gradient through the log-probabilities of all next tokens."""
    found = []
    for b in range(2):
        estimate = torch.func.jacrev(lambda theta, b=b: -loss(tiny.rollouts_at(theta, tiny.tuples(1), [b], **more)))(
            THETA
        ).flatten(1)
        law = tiny.log_law(THETA)[b].exp()
        mean = law @ estimate
        found.append(law @ estimate.square().sum(-1) - mean.square().sum())
    return torch.stack(found)


def test_off_policy_k1_needs_the_current_policy_and_a_ratio_that_covers_its_cost():
    exact = REWARD - BETA * gradient(kl)
    assert same(mean_estimate(PolicyLoss(ratio="sequence", kl="k1", beta=BETA), behaviour=BEHAVIOUR), exact)
    prefix = PolicyLoss(ratio="prefix", returns="reweighted_to_go", kl="k1", beta=BETA)
    assert same(mean_estimate(prefix, behaviour=BEHAVIOUR), exact)
    for ratio in ("token", "none", "prefix"):
        wrong = PolicyLoss(ratio=ratio, returns="to_go", kl="k1", beta=BETA)
        assert apart(mean_estimate(wrong, behaviour=BEHAVIOUR), exact) > 0.01
    old = PolicyLoss(ratio="sequence", kl_policy="proximal", kl="k1", beta=BETA)
    towards = REWARD - BETA * (gradient(kl) - gradient(lambda theta: kl(theta, BEHAVIOUR)))
    assert same(mean_estimate(old, behaviour=BEHAVIOUR), towards)


def test_a_token_of_probability_zero_and_a_masked_one_leave_the_full_kl_a_gradient():
    """KL of (½, ½, 0) from (0.4, 0.6, 0): its derivative in log π(y) is π(y)(1 + log π(y)/π_ref(y)), 0 at π(y) = 0."""
    ours = torch.tensor([[[[0.5, 0.5, 0.0], [torch.nan] * 3]]]).log().requires_grad_()
    theirs = torch.tensor([[[[0.4, 0.6, 0.0], [torch.nan] * 3]]]).log()
    one = Rollouts(
        log_probs=torch.zeros(1, 1, 2),
        mask=torch.tensor([[[1, 0]]]),
        rewards=torch.zeros(1, 1),
        next_log_probs=ours,
        next_reference=theirs,
    )
    PolicyLoss(kl="full", beta=1.0, kl_place="loss")(one).backward()
    right = [0.5 * (1 + math.log(0.5 / 0.4)), 0.5 * (1 + math.log(0.5 / 0.6)), 0.0]
    assert ours.grad is not None and ours.grad[0, 0, 0].tolist() == pytest.approx(right)
    assert ours.grad[0, 0, 1].tolist() == [0, 0, 0]
