"""Presets `verl:…` beside verl's functions."""

from peers.frameworks.comparison import DIFFERS, WHOLE_BATCH, Comparison, verl, without
from peers.frameworks.problems import EXTREME

IN_REWARD = {"kl": "k1", "kl_place": "reward", "kl_policy": "proximal"}
DENOMINATORS = "masked_mean adds 1e-8 to the number of tokens"
OF_VERL = [
    Comparison(
        preset="verl:grpo",
        **verl("grpo"),
        why="K − 1, ε = 1e-6; departs from the paper: mean over the batch's tokens for 1/L, dual clip 3, no KL by "
        "default",
    ),
    Comparison(
        preset="verl:grpo",
        changes={"kl": "k3", "kl_place": "loss", "beta": 0.05},
        **verl("grpo", kl_loss=0.05),
        on=without(EXTREME),
        why="k3's own derivative alone, no ratio in front; as the paper",
    ),
    Comparison(
        preset="verl:grpo",
        changes={"kl": "k3", "kl_place": "loss", "beta": 0.05},
        **verl("grpo", kl_loss=0.05),
        on=(EXTREME,),
        expected=DIFFERS,
        why="verl clamps k3 to at most 10: a token that is that far from the reference has no KL gradient",
    ),
    Comparison(
        preset="verl:grpo",
        changes=IN_REWARD | {"beta": 0.05},
        **verl("grpo", kl_reward=0.05),
        why="d of the proximal policy, summed into the reward before the baseline",
    ),
    Comparison(preset="verl:token_mean", **verl("grpo"), why="the same as verl:grpo"),
    Comparison(
        preset="verl:sequence_mean",
        **verl("grpo", "seq-mean-token-mean"),
        why="1/(L + 1e-8); the paper's aggregate, with dual clip 3",
    ),
    Comparison(
        preset="verl:dr_grpo",
        **verl("grpo", "seq-mean-token-sum-norm", deviation=False),
        why="÷ the length to which tensors are padded, where the paper has a constant (loss_scale_factor sets one); "
        "dual clip 3",
    ),
    Comparison(
        preset="verl:rloo",
        **verl("rloo"),
        why="departs from the paper: mean over the batch's tokens for the sum, and PPO's clip with dual clip 3",
    ),
    Comparison(
        preset="verl:remax",
        **verl("remax"),
        why="departs from the paper: mean over the batch's tokens for the sum, and PPO's clip with dual clip 3",
    ),
    Comparison(
        preset="verl:reinforce_plus_plus",
        **verl("reinforce_plus_plus"),
        on=without(WHOLE_BATCH),
        why="variance over n tokens by n − 1, 1e-8 added to it; the paper has a KL in the reward, verl none",
    ),
    Comparison(
        preset="verl:reinforce_plus_plus",
        **verl("reinforce_plus_plus"),
        on=(WHOLE_BATCH,),
        expected=DIFFERS,
        why=f"{DENOMINATORS}, so a constant is not quite its mean, and the rest is multiplied by 1e4; ours is 0",
    ),
    Comparison(
        preset="verl:reinforce_plus_plus",
        changes=IN_REWARD | {"beta": 0.05},
        **verl("reinforce_plus_plus", kl_reward=0.05),
        why="d of the proximal policy, to go",
    ),
    Comparison(
        preset="verl:reinforce_plus_plus_baseline",
        **verl("reinforce_plus_plus_baseline"),
        why="whole returns less the group's mean, whitened",
    ),
    Comparison(
        preset="verl:gae", **verl("gae"), why="λ = 1 by default, whitened; PPO's paper has λ = 0.95, unwhitened"
    ),
    Comparison(
        preset="verl:gspo",
        **verl("grpo", "seq-mean-token-mean", "gspo"),
        why="ratio detached, own token's gradient; clip 0.2, where the paper has 3e-4 and 4e-4",
    ),
    Comparison(
        preset="verl:gspo",
        changes={"aggregate": "batch_token_mean"},
        **verl("grpo", "token-mean", "gspo"),
        why="verl's trainer passes its default, token-mean: long rollouts count more than in the paper",
    ),
    Comparison(
        preset="verl:cispo",
        **verl("grpo", policy="cispo"),
        why="two-sided clamp 1 ± 0.2; the paper leaves the lower bound open",
    ),
    Comparison(
        preset="verl:tis",
        **verl("grpo", correction="2.0"),
        why="detached, at most 2; off by default",
    ),
    Comparison(
        preset="verl:tis",
        changes={"correction": "sequence"},
        **verl("grpo", correction="2.0", level="sequence"),
        why="the product over a rollout, at most 2",
    ),
    Comparison(preset="verl:icepop", **verl("grpo", correction="0.5_2.0"), why="detached, 0 outside 0.5 … 2"),
]
