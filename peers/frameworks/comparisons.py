"""Which preset is compared with which function of a framework, at which settings, and what there is to say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from peers.frameworks.problems import EXTREME, KINDS

EVERY = (*KINDS, EXTREME)
DOUBLE, SINGLE = 1e-7, 1e-5
"""Relative differences of gradients up to which a preset agrees: of functions in float64, some of which add 1e-8 to a
number of tokens, and of functions with a step in float32. Values, differences of larger terms, agree up to `SINGLE`."""
AGREES, DIFFERS, NO_FUNCTION = "agrees", "differs", "no function"
SIDES = {
    "verl": "verl 0.9.1, core_algos",
    "trl:grpo": "TRL 1.16.0, GRPOTrainer",
    "trl:rloo": "TRL 1.16.0, RLOOTrainer",
    "openrlhf": "OpenRLHF 0.11.2, PolicyLoss",
    "openrlhf:ppo": "OpenRLHF 0.11.2, get_advantages_and_returns, PolicyLoss",
    "": "",
}
"""The functions of `peers/sides/frameworks/answers.py`, and their names for people."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A preset beside a framework's function.

    Args:
        preset: a name of `estimators.policy.PRESETS`.
        changes: parts of the preset that are changed; the text "K" stands for a problem's rollouts of each prompt.
        side: which function, a name of `SIDES`; empty where no framework has one.
        settings: what the function is called with.
        on: names of problems.
        value: whether the values can be compared, and not the gradients alone.
        tolerance: largest relative difference of gradients that agrees.
        expected: the verdict, known from reading both.
        why: what differs and why; how the framework departs from the paper.
    """

    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    side: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    on: tuple[str, ...] = EVERY
    value: bool = True
    tolerance: float = DOUBLE
    expected: str = AGREES
    why: str = ""


def without(*names: str) -> tuple[str, ...]:
    """Returns the problems but for these."""
    return tuple(name for name in EVERY if name not in names)


def verl(advantage: str, aggregate: str = "token-mean", policy: str = "vanilla", **more: Any) -> dict[str, Any]:
    """Returns a comparison's side and settings."""
    settings = {"advantage": advantage, "policy": policy, "aggregate": aggregate}
    return {"side": "verl", "settings": settings | more}


def trl(loss_type: str, **more: Any) -> dict[str, Any]:
    """Returns a comparison's side and settings."""
    return {"side": "trl:grpo", "settings": {"loss_type": loss_type} | more}


def openrlhf(estimator: str, **more: Any) -> dict[str, Any]:
    """Returns a comparison's side and settings."""
    return {"side": "openrlhf", "settings": {"estimator": estimator} | more}


SUMS = {"policy": "reinforce", "aggregate": "seq-mean-token-sum"}
NO_RATIO = "verl's loss is −A log π and ours −A, each with its gradient: values are not compared"
PER_TOKEN = "the value counts the ratio at each token, TRL's once for each rollout: values are not compared"
IN_REWARD = {"kl": "k1", "kl_place": "reward", "kl_policy": "proximal"}
PAPERS = [
    Comparison(preset="reinforce", **verl("rewards", **SUMS), value=False, why=NO_RATIO),
    Comparison(preset="rloo", **verl("rloo", **SUMS), value=False, why=NO_RATIO),
    Comparison(preset="remax", **verl("remax", **SUMS), value=False, why=NO_RATIO),
    Comparison(
        preset="importance_sampling",
        side="trl:rloo",
        settings={"beta": 0.0, "epsilon": [1.0, 1e12]},
        value=False,
        why=f"TRL's loss without its limit; {PER_TOKEN}",
    ),
    Comparison(
        preset="per_decision",
        on=(),
        expected=NO_FUNCTION,
        why="none of the three weighs each reward by the prefix up to its own token",
    ),
    Comparison(
        preset="ppo",
        side="openrlhf:ppo",
        settings={"lam": 0.95},
        on=without(EXTREME),
        why="both OpenRLHF's trainer and verl's whiten these advantages and have λ = 1 by default, and so depart from "
        "the paper",
    ),
    Comparison(
        preset="grpo",
        changes={"scale_epsilon": 1e-4},
        **trl("grpo", beta=0.04, unbiased_kl=False),
        why="the paper has no ε; with TRL's it is TRL's loss, with the KL's ratio and β changed to the paper's",
    ),
    Comparison(
        preset="grpo",
        **trl("grpo", beta=0.04, unbiased_kl=False),
        expected=DIFFERS,
        why="TRL adds ε = 1e-4 to the deviation, which takes over where rewards differ by less",
    ),
    Comparison(
        preset="dr_grpo",
        **verl("grpo", "seq-mean-token-sum", deviation=False, dual=1e12),
        on=without(EXTREME),
        why="verl's parts, without its dual clip, which it always has",
    ),
    Comparison(
        preset="dapo",
        changes={"scale_epsilon": 1e-4, "aggregate": "batch_token_mean", "filter": "keep"},
        **trl("dapo", epsilon=[0.2, 0.28]),
        why="with clip-higher, and with TRL's mean over the batch's tokens, its ε, and groups of equal rewards kept",
    ),
    Comparison(
        preset="dapo",
        **trl("dapo", epsilon=[0.2, 0.28]),
        expected=DIFFERS,
        why="equation 8 has a mean over a group's tokens, TRL over the batch's; equation 11 drops groups of equal "
        "rewards, TRL's loss_type='dapo' keeps them; ε = 1e-4",
    ),
    Comparison(
        preset="gspo",
        changes={"scale_epsilon": 1e-9},
        **openrlhf("group_norm", kind="gspo", clip=[3e-4, 4e-4], beta=0.0),
        why="the paper has no ε; at the paper's bounds, which are no framework's default",
    ),
    Comparison(
        preset="pass@k",
        changes={"k": "K", "divisor": "K"},
        **verl("grpo_passk", deviation=False, **SUMS),
        value=False,
        why="k is the whole group; verl's mean over rollouts divides Σ w s by K, and by default it divides by the "
        f"group's deviation; {NO_RATIO}",
    ),
]

WHOLE_BATCH = "all equal"
DENOMINATORS = "masked_mean adds 1e-8 to the number of tokens"
VERL = [
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

GRPO_EPSILON = "K − 1, ε = 1e-4"
TRL = [
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

CLAMPED = "OpenRLHF clamps log r to ±20 and has no dual clip: beyond that A < 0 loses its gradient; ours keeps it"
NO_KL = {"beta": 0.0}
OPENRLHF = [
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

COMPARISONS = (*PAPERS, *TRL, *VERL, *OPENRLHF)
