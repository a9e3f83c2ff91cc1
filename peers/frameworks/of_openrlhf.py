"""Presets `openrlhf:…` beside OpenRLHF's functions."""

from peers.frameworks.comparison import DIFFERS, SINGLE, WHOLE_BATCH, Comparison, openrlhf, without
from peers.frameworks.problems import EXTREME

CLAMPED = "OpenRLHF clamps log r to ±20 and has no dual clip: beyond that A < 0 loses its gradient; ours keeps it"
NO_KL = {"beta": 0.0}
OF_OPENRLHF = [
    Comparison(
        preset="openrlhf:gae",
        **openrlhf("gae"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="λ = 1, KL in the reward with β = 0.01, before the critic; whitened, in float32: divided by n, variance at "
        "least 1e-8; PPO's paper has neither KL nor whitening",
    ),
    Comparison(
        preset="openrlhf:reinforce++",
        **openrlhf("reinforce"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="whitened, in float32: divided by n, variance at least 1e-8 (added to it in verl)",
    ),
    Comparison(
        preset="openrlhf:reinforce++",
        changes=NO_KL,
        **openrlhf("reinforce", beta=0.0),
        on=without(EXTREME, WHOLE_BATCH),
        tolerance=SINGLE,
        why="without the KL",
    ),
    Comparison(
        preset="openrlhf:reinforce++",
        changes=NO_KL,
        **openrlhf("reinforce", beta=0.0),
        on=(WHOLE_BATCH,),
        tolerance=SINGLE,
        expected=DIFFERS,
        why="float32's rounding of a constant's mean, multiplied by 1e4; ours is 0",
    ),
    Comparison(
        preset="openrlhf:reinforce++",
        changes={"kl": "k3", "kl_place": "loss", "kl_policy": "current", "kl_after": False, "beta": 0.05},
        **openrlhf("reinforce", beta=0.0, kl_loss=0.05),
        on=without(EXTREME, WHOLE_BATCH),
        tolerance=SINGLE,
        why="k3 in the loss, its own derivative alone, in float32 (its option use_loss)",
    ),
    Comparison(
        preset="openrlhf:reinforce++_baseline",
        **openrlhf("reinforce_baseline"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="group mean, then the KL to go, then whitened as openrlhf:reinforce++",
    ),
    Comparison(
        preset="openrlhf:rloo",
        **openrlhf("rloo"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="KL to go after the baseline (float32); departs from the paper: KL inside it, no clip, token sum",
    ),
    Comparison(
        preset="openrlhf:rloo", changes=NO_KL, **openrlhf("rloo", beta=0.0), on=without(EXTREME), why="without the KL"
    ),
    Comparison(
        preset="openrlhf:rloo",
        changes=NO_KL,
        **openrlhf("rloo", beta=0.0),
        on=(EXTREME,),
        expected=DIFFERS,
        why=CLAMPED,
    ),
    Comparison(
        preset="openrlhf:group_norm",
        **openrlhf("group_norm"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="K − 1, ε = 1e-9; KL k1 to go, after the deviation; GRPO's paper has k3 in the loss and 1/L",
    ),
    Comparison(
        preset="openrlhf:group_norm",
        changes=NO_KL,
        **openrlhf("group_norm", beta=0.0),
        on=without(EXTREME),
        why="K − 1, ε = 1e-9; without the KL, all in float64",
    ),
    Comparison(
        preset="openrlhf:group_norm",
        changes=NO_KL
        | {"correction": "token", "correction_rule": "mask", "correction_low": 0.5, "correction_high": 5.0},
        **openrlhf("group_norm", beta=0.0, correction="mask"),
        on=without(EXTREME),
        why="its correction for rollouts of another engine, off by default: 0 outside 0.5 … 5",
    ),
    Comparison(
        preset="openrlhf:dr_grpo",
        **openrlhf("dr_grpo"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="departs from the paper: still a mean over the batch's tokens, and a KL in the reward",
    ),
    Comparison(
        preset="openrlhf:gspo",
        **openrlhf("group_norm", kind="gspo"),
        on=without(EXTREME),
        tolerance=SINGLE,
        why="the ratio is not detached: with a KL to go each token is pushed by the mean of all tokens' advantages, "
        "which verl's form pushes by its own; clip 0.2; the paper has one advantage for a rollout and no KL",
    ),
    Comparison(
        preset="openrlhf:gspo",
        changes=NO_KL,
        **openrlhf("group_norm", kind="gspo", beta=0.0),
        why="without the KL both forms are one",
    ),
]
