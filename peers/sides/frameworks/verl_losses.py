"""verl's own functions of plain tensors, in the order in which its trainer calls them."""

import torch
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights
from verl.workers.config import ActorConfig


def loss(
    given,
    advantage="grpo",
    deviation=True,
    policy="vanilla",
    aggregate="token-mean",
    clip=(0.2, 0.2),
    dual=3.0,
    correction=None,
    level="token",
    kl_reward=0.0,
    kl_loss=0.0,
):
    """Rewards with their KL, advantages, weights of the rollout correction, the policy's loss, and the loss's KL."""
    config = ActorConfig(
        strategy="fsdp",
        rollout_n=given.K,
        use_dynamic_bsz=True,
        clip_ratio_low=clip[0],
        clip_ratio_high=clip[1],
        clip_ratio_c=dual,
    )
    weights = None
    if correction is not None:
        weights, _ = compute_rollout_correction_weights(
            given.proximal - given.behaviour, given.mask, level, rollout_is_threshold=correction
        )
    functions = core_algos.POLICY_LOSS_REGISTRY | {"reinforce": core_algos.compute_policy_loss_reinforce}
    total, _ = functions[policy](
        given.proximal,
        given.now,
        advantages(given, advantage, deviation, kl_reward),
        given.mask,
        loss_agg_mode=aggregate,
        config=config,
        rollout_is_weights=weights,
    )
    if kl_loss:
        distance = core_algos.kl_penalty(given.now, given.reference, "low_var_kl")
        total = total + kl_loss * core_algos.agg_loss(distance, given.mask, aggregate)
    return total


def advantages(given, name, deviation, kl_reward):
    at_end = torch.zeros_like(given.mask)
    at_end[torch.arange(len(at_end)), given.mask.sum(-1).long() - 1] = given.rewards
    rewards = at_end - kl_reward * core_algos.kl_penalty(given.proximal, given.reference, "kl") * given.mask
    if name == "rewards":  # no estimator: the reward at each token
        return rewards.sum(-1, keepdim=True) * given.mask
    more = {
        "gae": {"values": given.values, "gamma": 1.0, "lam": 1.0},
        "grpo": {"index": given.group, "norm_adv_by_std_in_grpo": deviation},
        "grpo_passk": {"index": given.group, "config": AlgoConfig(norm_adv_by_std_in_grpo=deviation)},
        "rloo": {"index": given.group},
        "reinforce_plus_plus": {"config": AlgoConfig()},
        "reinforce_plus_plus_baseline": {"index": given.group},
        "remax": {"reward_baselines": given.greedy_rewards},
    }[name]
    found, _ = core_algos.get_adv_estimator_fn(name)(token_level_rewards=rewards, response_mask=given.mask, **more)
    return found
