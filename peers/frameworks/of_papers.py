"""Presets of papers beside the nearest function of a framework."""

from peers.frameworks.comparison import DIFFERS, NO_FUNCTION, PER_TOKEN, Comparison, openrlhf, trl, verl, without
from peers.frameworks.problems import EXTREME

SUMS = {"policy": "reinforce", "aggregate": "seq-mean-token-sum"}
NO_RATIO = "verl's loss is −A log π and ours −A, each with its gradient: values are not compared"
OF_PAPERS = [
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
