"""Statements on policy gradients of language models, each by enumeration in float64, each with wrong versions.

Every test names a variant that must not satisfy the statement.
"""

import math

import pytest
import torch

from estimators.policy.loss import PolicyLoss
from tests.support import tiny_policy as tiny
from tests.support.tiny_policy import (
    BEHAVIOUR,
    COSTS,
    GRADED,
    LENGTH,
    RIGHT,
    THETA,
    apart,
    degrees,
    expected_reward,
    gradient,
    kl,
    mean_estimate,
    reverse_kl,
    same,
    variance,
)

REWARD = gradient(expected_reward())
BETA = 0.7


def test_the_policy_is_a_law_and_its_score_has_mean_zero():
    assert torch.allclose(tiny.log_law(THETA).exp().sum(-1), torch.ones(2, dtype=torch.float64))
    total = (tiny.log_law(THETA).exp()[..., None] * tiny.scores().sum(-2)).sum(-2)
    assert total.abs().max() < 1e-12
    assert {1.0, 2.0, 3.0} == set(LENGTH.flatten().tolist())


# 1. Means that contain the own rollout


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


# 2. Division by the group's deviation


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


# 3. Length


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


# 4. KL


def test_k1_in_the_reward_is_exact_whole_and_to_go():
    exact = REWARD - BETA * gradient(kl)
    for returns in ("whole", "to_go"):
        for more in ({}, {"kl_after": True}):
            loss = PolicyLoss(returns=returns, kl="k1", beta=BETA, **more)
            assert same(mean_estimate(loss), exact)
            assert same(
                mean_estimate(PolicyLoss(baseline="leave_one_out", **more, returns=returns, kl="k1", beta=BETA), 2),
                exact,
            )


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
    zero = {"rewards": torch.zeros_like(RIGHT)}
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
    term = {"kl": "k1", "beta": BETA}
    assert same(mean_estimate(PolicyLoss(ratio="sequence", **term), behaviour=BEHAVIOUR), exact)
    prefix = PolicyLoss(ratio="prefix", returns="reweighted_to_go", **term)
    assert same(mean_estimate(prefix, behaviour=BEHAVIOUR), exact)
    for wrong in ({"ratio": "token"}, {"ratio": "none"}, {"ratio": "prefix", "returns": "to_go"}):
        assert apart(mean_estimate(PolicyLoss(**wrong, **term), behaviour=BEHAVIOUR), exact) > 0.01
    old = PolicyLoss(ratio="sequence", kl_policy="proximal", **term)
    towards = REWARD - BETA * (gradient(kl) - gradient(lambda theta: kl(theta, BEHAVIOUR)))
    assert same(mean_estimate(old, behaviour=BEHAVIOUR), towards)


# 5. Ratios


def test_the_sequence_ratio_is_unbiased_and_others_are_not():
    for loss in (PolicyLoss(ratio="sequence"), PolicyLoss(ratio="prefix", returns="reweighted_to_go")):
        assert same(mean_estimate(loss, behaviour=BEHAVIOUR), REWARD)
    for baseline in ("leave_one_out", "greedy"):
        loss = PolicyLoss(ratio="sequence", baseline=baseline)
        found = mean_estimate(loss, 2, behaviour=BEHAVIOUR, **({} if baseline != "greedy" else greedy()))
        assert same(found, REWARD), baseline
    for wrong in ("none", "token", "prefix", "geometric"):
        assert apart(mean_estimate(PolicyLoss(ratio=wrong), behaviour=BEHAVIOUR), REWARD) > 0.01, wrong


def greedy() -> dict[str, torch.Tensor]:
    return {"greedy_rewards": torch.tensor([0.3, 1.7], dtype=torch.float64)}


def test_the_prefix_ratio_is_exact_with_exact_advantages():
    values = tiny.values_of(RIGHT)
    critic = PolicyLoss(ratio="prefix", baseline="critic", steps=1)
    assert same(mean_estimate(critic, behaviour=BEHAVIOUR, values=values), REWARD)
    token = PolicyLoss(ratio="token", baseline="critic", steps=1)
    assert not same(mean_estimate(token, behaviour=BEHAVIOUR, values=values), REWARD)
    whole = PolicyLoss(ratio="prefix", baseline="critic")
    assert not same(mean_estimate(whole, behaviour=BEHAVIOUR, values=values), REWARD)


def test_costs_of_steps_take_the_prefix_up_to_the_cost():
    exact = gradient(lambda theta: (tiny.log_law(theta).exp() * COSTS.sum(-1)).sum(-1))
    zero = {"rewards": torch.zeros_like(RIGHT), "step_rewards": COSTS}
    right = PolicyLoss(ratio="prefix", returns="reweighted_to_go")
    assert same(mean_estimate(right, behaviour=BEHAVIOUR, **zero), exact)
    wrong = PolicyLoss(ratio="prefix", returns="to_go")
    assert not same(mean_estimate(wrong, behaviour=BEHAVIOUR, **zero), exact)
    for returns in ("whole", "to_go"):
        assert same(mean_estimate(PolicyLoss(returns=returns), **zero), exact)


def test_the_variance_of_a_sequence_ratio_grows_with_the_distance():
    found = [variance(PolicyLoss(ratio="sequence"), 1, THETA + a * tiny.logits(1, 1.0)).sum() for a in (0.0, 1.0, 2.0)]
    assert found[0] < found[1] < found[2]


# Critics


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_exact_values_are_unbiased_for_every_lambda_and_wrong_ones_for_one_alone(lam, steps):
    loss, values = PolicyLoss(baseline="critic", lam=lam, steps=steps), tiny.values_of(RIGHT)
    assert same(mean_estimate(loss, values=values), REWARD)
    wrong = mean_estimate(loss, values=values + 0.3)
    assert same(wrong, REWARD) == (lam == 1.0 and steps == 0)
    assert not same(
        mean_estimate(PolicyLoss(baseline="critic", lam=lam, steps=steps, gamma=0.9), values=values), REWARD
    )


# 6. A ratio of value 1


@pytest.mark.parametrize("ratio", ["none", "token", "prefix", "sequence", "geometric"])
@pytest.mark.parametrize("limit", ["none", "clip", "dual_clip", "detached"])
def test_a_ratio_of_value_one_has_reinforce_s_gradient(ratio, limit):
    assert same(mean_estimate(PolicyLoss(ratio=ratio, limit=limit)), REWARD)


# 7. Groups of equal rewards


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


def test_with_prompts_drawn_anew_dropping_keeps_the_direction():
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


# 8. top-p


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


# 9. A constant added to all rewards


def moved(loss: PolicyLoss, K: int = 1, **more: torch.Tensor) -> float:
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
    current = {"proximal": tiny.log_steps(THETA)}
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


# 10. Sets


def best_of(k: int, rewards: torch.Tensor) -> torch.Tensor:
    """∇ E max of k rollouts, by enumeration of all k-tuples."""
    index = tiny.tuples(k)

    def value(theta: torch.Tensor) -> torch.Tensor:
        law = torch.stack([tiny.log_law(theta)[b][index[:, 0]].sum(-1).exp() for b in range(2)])
        return (law * torch.stack([rewards[b][index[:, 0]].amax(-1) for b in range(2)])).sum(-1)

    return gradient(value)


@pytest.mark.parametrize("rewards", [RIGHT, GRADED], ids=["right", "graded"])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)])
@pytest.mark.parametrize("form", ["plain", "leave_one_out", "leave_one_out_sets"])
def test_weights_of_sets_are_unbiased(form, n, k, rewards):
    if form == "leave_one_out_sets" and n == k:
        pytest.skip("needs n > k")
    exact = best_of(k, rewards)
    found = mean_estimate(PolicyLoss(set=form, k=k), n, rewards=rewards)
    assert same(found, exact)
    if k > 1:
        assert not same(found, gradient(expected_reward(rewards)))
        assert not same(mean_estimate(PolicyLoss(set=form, k=k - 1), n, rewards=rewards), exact)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (5, 2), (7, 3), (4, 4)])
def test_weights_of_right_and_wrong_draws_in_closed_form(n, k):
    from estimators.policy.sets import SET_PARTS

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
