"""Presets `trl:…` beside TRL's trainers."""

from peers.frameworks.comparison import PER_TOKEN, SINGLE, Comparison, trl, without

GRPO_EPSILON = "K − 1, ε = 1e-4"
OF_TRL = [
    Comparison(
        preset="trl:grpo",
        **trl("grpo"),
        why=f"{GRPO_EPSILON}; departs from the paper: no KL by default (β = 0)",
    ),
    Comparison(
        preset="trl:grpo",
        changes={"beta": 0.04},
        **trl("grpo", beta=0.04),
        why="k3 × the differentiated ratio by default (use_bias_correction_kl), where the paper has k3 alone",
    ),
    Comparison(
        preset="trl:grpo",
        changes={"beta": 0.04, "kl_place": "loss"},
        **trl("grpo", beta=0.04, unbiased_kl=False),
        why="without the ratio in front: the paper's",
    ),
    Comparison(
        preset="trl:grpo",
        changes={"scale": "batch"},
        **trl("grpo", scale="batch"),
        why="deviation over the batch's rollouts, mean of the group",
    ),
    Comparison(
        preset="trl:grpo",
        changes={"correction": "sequence", "correction_rule": "mask", "correction_high": 3.0},
        **trl("grpo", engine=["sequence_mask", 3.0]),
        tolerance=SINGLE,
        why="its default where another engine draws the rollouts: the product over a rollout, 0 above 3, in float32",
    ),
    Comparison(
        preset="trl:grpo",
        changes={"correction": "token", "correction_high": 3.0},
        **trl("grpo", engine=["token_truncate", 3.0]),
        tolerance=SINGLE,
        why="the ratio of a token, at most 3, in float32",
    ),
    Comparison(preset="trl:bnpo", **trl("bnpo"), why=f"{GRPO_EPSILON}; mean over the tokens of the local batch"),
    Comparison(
        preset="trl:dapo",
        **trl("dapo"),
        why=f"{GRPO_EPSILON}; departs from the paper: clip 0.2 on both sides for clip-higher, groups of equal rewards "
        "kept and counted, mean over the batch's tokens and not the group's",
    ),
    Comparison(preset="trl:dapo", changes={"beta": 0.04}, **trl("dapo", beta=0.04), why="the paper has no KL term"),
    Comparison(
        preset="trl:dr_grpo",
        **trl("dr_grpo"),
        on=without("padded"),
        why=f"{GRPO_EPSILON}; departs from the paper: the deviation, which it takes away, stays by default",
    ),
    Comparison(
        preset="trl:dr_grpo",
        **trl("dr_grpo"),
        on=("padded",),
        why="÷ max_completion_length, which is the padded length of these tensors",
    ),
    Comparison(
        preset="trl:dr_grpo",
        changes={"scale": "none"},
        **trl("dr_grpo", scale="none"),
        why="with scale_rewards='none': the paper's, up to a constant factor",
    ),
    Comparison(
        preset="trl:gspo",
        **trl("grpo", level="sequence"),
        why="clip 0.2, where the paper has 3e-4 and 4e-4; 1/L once, because the loss is of rollouts",
    ),
    Comparison(
        preset="trl:gspo",
        changes={"beta": 0.04},
        **trl("grpo", level="sequence", beta=0.04),
        why="k3 of a token × the rollout's ratio, differentiated in all tokens; the paper has no KL term",
    ),
    Comparison(
        preset="trl:cispo",
        **trl("cispo"),
        why="epsilon_high bounds the ratio itself: at the default 0.2 every on-policy token weighs 0.2; the paper "
        "bounds by 1 + ε",
    ),
    Comparison(
        preset="trl:cispo",
        changes={"high": 5.0},
        **trl("cispo", epsilon=[0.2, 5.0]),
        why="with the bound that its documentation names (5)",
    ),
    Comparison(
        preset="trl:rloo",
        side="trl:rloo",
        value=False,
        why="β = 0.05, k1 of the proximal policy, inside the baseline; departs from the paper: PPO's clip of the "
        f"sequence ratio; {PER_TOKEN}",
    ),
    Comparison(
        preset="trl:rloo",
        changes={"beta": 0.0},
        side="trl:rloo",
        settings={"beta": 0.0},
        value=False,
        why=f"without the KL; {PER_TOKEN}",
    ),
    Comparison(
        preset="trl:rloo",
        side="trl:rloo",
        on=("one token",),
        why="where rollouts have one token, the values are one too",
    ),
]
