"""Losses in a training loop: tensors in, a gradient out; wrong input is told in a sentence."""

import pytest
import torch
from torch import Tensor

import estimators
from estimators import BadInput
from estimators.policy import (
    PRESETS,
    PolicyLoss,
    Rollouts,
    clipped_share,
    dead_groups,
    effective_sample_size,
    preset,
)
from tests.support.tiny_policy import tables

SHAPE = (2, 3, 4)


def given(**more: Tensor) -> dict[str, Tensor]:
    """Rollouts as a trainer has them."""
    draw = torch.Generator().manual_seed(0)
    log_probs = -torch.rand(*SHAPE, generator=draw)
    mask = torch.tensor([[[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]]).expand(SHAPE)
    return tables(log_probs=log_probs, mask=mask, rewards=torch.rand(*SHAPE[:2], generator=draw)) | more


def test_a_training_loop_raises_the_reward():
    """Two prompts, two tokens of three each: the right first token is another one for each prompt."""
    torch.manual_seed(0)
    logits = torch.zeros(2, 2, 3, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    right = torch.tensor([0, 2])
    loss = preset("trl:dapo")
    for _ in range(60):
        law = logits.log_softmax(-1)[:, None].expand(2, 8, 2, 3)
        with torch.no_grad():
            tokens = torch.distributions.Categorical(logits=law).sample()
        rewards = (tokens[..., 0] == right[:, None]).float()
        rollouts = Rollouts(
            log_probs=law.gather(-1, tokens.unsqueeze(-1)).squeeze(-1),
            mask=torch.ones(2, 8, 2, dtype=torch.bool),
            rewards=rewards,
        )
        optimiser.zero_grad()
        loss(rollouts).backward()
        optimiser.step()
    chance = logits.softmax(-1)[torch.arange(2), 0, right]
    assert (chance > 0.8).all()


@pytest.mark.parametrize("name", ["trl:dapo", "verl:grpo", "rloo", "gspo", "openrlhf:reinforce++"])
def test_what_stands_behind_the_end_does_not_matter(name):
    reference = tables(reference=-torch.ones(SHAPE))
    plain = Rollouts(**given(**reference))
    spoiled = given(**reference)
    behind = spoiled["mask"] == 0
    for each in ("log_probs", "reference"):
        spoiled[each] = torch.where(behind, torch.nan, spoiled[each])
    loss = preset(name)
    assert torch.equal(loss(plain), loss(Rollouts(**spoiled)))
    assert torch.equal(loss.coefficients(plain), loss.coefficients(Rollouts(**spoiled)))


def test_advantages_come_from_rewards_alone():
    rewards = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    assert torch.allclose(preset("rloo").advantages(rewards)[0], torch.tensor([1.0, -0.5, -0.5]))
    group = preset("trl:grpo").advantages(rewards)
    deviation = rewards.std(-1, keepdim=True) + 1e-4
    assert torch.allclose(group, (rewards - rewards.mean(-1, keepdim=True)) / deviation)
    best = preset("pass@k").advantages(rewards)
    assert torch.allclose(best[0], torch.tensor([2.0, 0.0, 0.0]))  # K = 3 times w = (2/3) C(2, 1)/C(2, 1)


@pytest.mark.parametrize(
    ("loss", "part"),
    [
        (preset("remax"), "baseline 'greedy'"),
        (preset("ppo"), "baseline 'critic'"),
        (preset("verl:reinforce_plus_plus"), "scale 'whitening'"),
        (preset("trl:rloo"), "kl_place 'reward'"),
    ],
)
def test_what_rewards_alone_do_not_give_is_said(loss, part):
    with pytest.raises(BadInput, match=rf"{part} needs more than rewards; use token_advantages\(rollouts\)"):
        loss.advantages(torch.rand(2, 3))


def test_equal_rewards_have_no_gradient_however_they_round():
    rewards = torch.full((2, 3), 0.1) * 3
    for name in ("dr_grpo", "dapo", "gspo", "verl:reinforce_plus_plus"):
        C = preset(name).coefficients(Rollouts(**given(rewards=rewards)))
        assert C.abs().max() < 1e-4, name
    exact = PolicyLoss(baseline="group_mean", scale="group")
    assert (exact.coefficients(Rollouts(**given(rewards=rewards))) == 0).all()
    white = PolicyLoss(scale="whitening")
    assert (white.coefficients(Rollouts(**given(rewards=rewards))) == 0).all()


@pytest.mark.parametrize("name", PRESETS)
def test_float32_stays_float32_and_is_finite_for_one_replicate_axis(name):
    more = tables(
        reference=-torch.ones(SHAPE),
        values=torch.zeros(SHAPE),
        greedy_rewards=torch.zeros(2),
        proximal=-torch.ones(SHAPE),
    )
    tensors = {key: value.expand(5, *value.shape) for key, value in given(**more).items()}
    found = preset(name)(Rollouts(**tensors))
    assert found.shape == (5,) and found.dtype == torch.float32 and found.isfinite().all()


@pytest.mark.parametrize(
    "parts", [{"ratio": "sequence"}, {"ratio": "sequence", "limit": "clip"}, {"correction": "sequence"}]
)
def test_long_sequences_with_ratios_beyond_all_numbers_say_nothing_where_the_advantage_is_zero(parts):
    T = 1000
    tensors = tables(
        log_probs=torch.full((1, 2, T), -0.1),
        mask=torch.ones(1, 2, T),
        rewards=torch.ones(1, 2),
        proximal=torch.full((1, 2, T), -1.0),
        behaviour=torch.full((1, 2, T), -2.0),
    )
    loss = PolicyLoss(baseline="leave_one_out", **parts)
    assert (loss.coefficients(Rollouts(**tensors)) == 0).all()
    apart = PolicyLoss(baseline="leave_one_out", ratio="sequence", limit="clip")
    C = apart.coefficients(Rollouts(**(tensors | tables(rewards=torch.tensor([[1.0, 0.0]])))))
    assert (C[0, 0] == 0).all() and (C[0, 1] < -1e30).all()


# Wrong input


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (tables(rewards=torch.zeros(3, 2)), r"rewards of rollouts has shape \[3, 2\], \[2, 3\] would be right"),
        (tables(mask=torch.ones(2, 3)), r"mask of rollouts has shape \[2, 3\], \[2, 3, 4\] would be right"),
        (tables(reference=torch.ones(2, 3, 5)), r"reference of rollouts has shape \[2, 3, 5\], \[2, 3, 4\] would"),
        (tables(greedy_rewards=torch.ones(2, 3)), r"greedy_rewards of rollouts has shape \[2, 3\], \[2\] would"),
        (tables(next_log_probs=torch.ones(2, 3, 5, 9)), r"next_log_probs .* \[2, 3, 5, V\], \[2, 3, 4, V\] would"),
        (tables(log_probs=torch.ones(6, 4)), r"must be \[\*replicates, B, K, T\] .*; reshape a flat batch"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_shape_is_told_with_the_right_one(tensors, said):
    with pytest.raises(BadInput, match=said):
        Rollouts(**given(**tensors))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"baseline": "leave_one"}, "baseline has no 'leave_one'; did you mean 'leave_one_out'?"),
        ({"ratio": "tokens"}, "ratio has no 'tokens'; did you mean 'token'?"),
        ({"kl_place": "losses"}, "did you mean 'loss'?"),
        ({"beta": 0.1}, "beta needs a kl"),
        ({"lam": 0.9}, "lam and horizon need baseline 'critic'"),
        ({"gamma": 0.9}, "gamma needs returns 'to_go'"),
        ({"low": 1.3}, "low must be at most high"),
        ({"k": 2}, "k needs a set"),
        ({"set": "plain", "baseline": "group_mean"}, "a set has a baseline of its own"),
        ({"returns": "reweighted_to_go"}, "needs ratio 'prefix'"),
        ({"kl": "full", "kl_level": "sequence"}, "kl_level 'token'"),
        ({"divisor": 0.0}, "divisor must be positive"),
        ({"dual": 1.0}, "dual must be above 1"),
        ({"filter": "refill", "batch_size": 0}, "batch_size must be at least 1"),
    ],
    ids=str,
)
def test_wrong_parts_are_told(parts, said):
    with pytest.raises(BadInput, match=said.replace("?", r"\?")):
        PolicyLoss(**parts)


def test_a_wrong_name_of_a_preset_or_a_part_is_told_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'trl:grpo'"):
        preset("trl:grop")
    with pytest.raises(BadInput, match="did you mean 'beta'"):
        preset("trl:grpo", betta=0.1)
    with pytest.raises(BadInput, match="there is no preset 'grop'"):
        estimators.get("policy_loss", preset="grop")


def test_what_a_loss_needs_and_does_not_get_is_told():
    with pytest.raises(BadInput, match="a KL term needs rollouts with reference"):
        preset("grpo")(Rollouts(**given()))
    with pytest.raises(BadInput, match="at least 2 rollouts"):
        one = {name: each[:, :1] for name, each in given().items()}
        preset("rloo")(Rollouts(**one))
    with pytest.raises(BadInput, match="with n − 1 needs at least 2 rollouts"):
        PolicyLoss(scale="group")(Rollouts(**one))


# Diagnostics


def test_diagnostics_on_numbers_by_hand():
    log_probs = torch.log(torch.tensor([[[1.5, 0.5], [1.5, 4.0]]]))
    tensors = tables(
        log_probs=log_probs, mask=torch.ones(1, 2, 2), rewards=torch.tensor([[1.0, 0.0]]), proximal=torch.zeros(1, 2, 2)
    )
    r = Rollouts(**tensors)
    clipped = PolicyLoss(baseline="leave_one_out", ratio="token", limit="clip")
    assert clipped_share(clipped, r) == 0.25  # A > 0: 1.5 is past 1.2; A < 0: nothing is below 0.8
    assert clipped_share(PolicyLoss(baseline="leave_one_out", ratio="token", limit="dual_clip"), r) == 0.5  # 4 > 3
    assert clipped_share(PolicyLoss(baseline="leave_one_out", ratio="token", limit="detached"), r) == 1.0
    assert clipped_share(PolicyLoss(ratio="token"), r) == 0.0
    C = clipped.coefficients(r)
    assert (C == 0).float().mean() == 0.25
    w = torch.tensor([0.75, 6.0])
    assert torch.allclose(effective_sample_size(r), w.sum().square() / w.square().sum())
    assert dead_groups(r) == 0 and dead_groups(Rollouts(**given(rewards=torch.ones(2, 3)))) == 1


@pytest.mark.parametrize("scale", ["none", "group", "batch", "whitening", "floored_whitening"])
def test_a_reward_that_is_nan_is_seen(scale):
    """With ε = 0 a deviation of NaN must not look like equal rewards, whose advantages are 0."""
    rewards = torch.rand(SHAPE[:2])
    rewards[0, 1] = torch.nan
    loss = PolicyLoss(baseline="group_mean", scale=scale)
    assert loss(Rollouts(**given(rewards=rewards))).isnan()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
@pytest.mark.parametrize(
    ("baseline", "right"), [("group_mean", [1 / 3, -2 / 3, 1 / 3]), ("leave_one_out", [0.5, -1, 0.5])]
)
def test_rewards_may_be_whole_numbers_or_booleans(dtype, baseline, right):
    rewards = torch.tensor([[1, 0, 1]], dtype=dtype)
    assert PolicyLoss(baseline=baseline).advantages(rewards)[0].tolist() == pytest.approx(right)
    assert Rollouts(**given(rewards=rewards.expand(2, 3))).rewards.is_floating_point()


def test_a_mask_with_a_gap_receives_the_reward_once():
    """A tool's tokens in the middle: every own token is credited with R = 1, not with 2."""
    log_probs = torch.zeros(1, 1, 4, requires_grad=True)
    mask = torch.tensor([[[1, 1, 0, 1]]])
    PolicyLoss()(Rollouts(log_probs=log_probs, mask=mask, rewards=torch.ones(1, 1))).backward()
    assert log_probs.grad is not None and log_probs.grad[0, 0].tolist() == [-1, -1, 0, -1]


def test_the_reward_of_a_rollout_without_tokens_counts_for_the_others():
    """One cut off and masked: the others' leave-one-out baselines are (6 + 0)/2 and (1 + 6)/2."""
    mask = torch.tensor([[[1, 1], [0, 0], [1, 0]]])
    cut = Rollouts(log_probs=torch.zeros(1, 3, 2), mask=mask, rewards=torch.tensor([[1.0, 6.0, 0.0]]))
    found = PolicyLoss(baseline="leave_one_out").token_advantages(cut)
    assert found[0].tolist() == [[-2, -2], [0, 0], [-3.5, 0]]
    scaled = PolicyLoss(baseline="group_mean", scale="group", bessel=False).token_advantages(cut)
    deviation = (((1 - 7 / 3) ** 2 + (6 - 7 / 3) ** 2 + (7 / 3) ** 2) / 3) ** 0.5
    assert float(scaled[0, 0, 0]) == pytest.approx((1 - 7 / 3) / deviation)


def test_a_batch_without_rollouts_is_refused():
    none = torch.zeros(2, 0, 4)
    with pytest.raises(BadInput, match=r"has the shape \[2, 0, 4\]; a batch has at least 1 prompt"):
        Rollouts(log_probs=none, mask=none, rewards=none[..., 0])
