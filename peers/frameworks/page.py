"""The table of agreement for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from peers.frameworks.comparison import AGREES, DIFFERS, DOUBLE, EVERY, SINGLE
from peers.frameworks.problems import EXTREME, KINDS


def said(settings: Mapping[str, Any]) -> str:
    """Returns settings in words.

    >>> said({"loss_type": "grpo", "beta": 0.04})
    'loss_type=grpo, beta=0.04'
    """
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def in_words(on: Sequence[str]) -> str:
    """Returns the problems of a comparison in words.

    >>> in_words([name for name in EVERY if name != "extreme"]), in_words(["far", "stale"])
    ('all but extreme', 'far, stale')
    """
    absent = [name for name in EVERY if name not in on]
    if len(absent) < len(on):
        return f"all but {', '.join(absent)}" if absent else "all"
    return ", ".join(on)


def page(table: pd.DataFrame) -> str:
    """Returns the whole page: what was done, the table, and how to read its settings."""
    verdicts = table["verdict"].value_counts()
    presets = table["preset"].nunique()
    return "\n".join(
        [
            "# Presets of policy losses beside the frameworks",
            "",
            f"Each of the {presets} presets of `estimators.policy` beside the function of verl, TRL or OpenRLHF that "
            "it is named after, or for a paper's preset beside the nearest: on the same float64 tensors, the value of "
            "the loss and its gradient in the log-probabilities. From rewards to loss the frameworks' own code runs; "
            "the weight of a KL term, which verl's and OpenRLHF's trainers multiply and add in line, and rewards at "
            "the last token are written in `peers/sides/frameworks/`. One preset has no counterpart. "
            f"{verdicts.get(AGREES, 0)} comparisons agree, and {verdicts.get(DIFFERS, 0)} differ and say why. Written "
            "by `make frameworks`, which also keeps the frameworks' answers in `frameworks.npz`; "
            "`tests/peers/test_frameworks.py` compares the presets with those.",
            "",
            f"Problems: {', '.join(KINDS)}; and {EXTREME} (ratios and distances beyond what frameworks clamp). 2 to 4 "
            "prompts, K = 2, 4 or 8 rollouts of at most 3 to 7 tokens, padded with numbers other than 0. *value* and "
            "*gradient* are the largest relative differences over these problems, of the gradient to its largest entry "
            "and of the value to the larger of itself and the sum of the gradient's entries; – where values cannot be "
            f"compared. Gradients agree up to {DOUBLE:.0e}, and up to {SINGLE:.0e} where the framework computes a step "
            f"in float32; values up to {SINGLE:.0e}.",
            "",
            *lines(table),
            "",
            "Settings, and whose functions they are:",
            "",
            "- verl: *advantage* is the estimator of `get_adv_estimator_fn` (*rewards*: none), *policy* the loss of "
            "`get_policy_loss_fn` (*reinforce*: `compute_policy_loss_reinforce`), *aggregate* the mode of `agg_loss`, "
            "*correction* and *level* those of `rollout_corr_helper.compute_rollout_correction_weights`, *kl_loss* and "
            "*kl_reward* the weights of `kl_penalty`.",
            "- TRL: both trainers' own `_generate_and_score_completions` and `_compute_loss`, called on an object that "
            "has tensors in place of a model; *unbiased_kl* is `use_bias_correction_kl`.",
            "- OpenRLHF: `RemoteExperienceMaker.compute_advantages_and_returns` with *estimator*, `compute_approx_kl`, "
            "`PolicyLoss` with *kind* as policy_loss_type.",
            "",
        ]
    )


def lines(table: pd.DataFrame) -> Iterator[str]:
    """The table as lines of Markdown."""
    yield "| preset | with | function | settings | problems | value | gradient | verdict | what differs and why |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in table.to_dict("records"):
        figures = [f"{row[name]:.0e}" if row[name] == row[name] else "–" for name in ("value", "gradient")]
        verdict = f"**{row['verdict']}**" if row["verdict"] == DIFFERS else row["verdict"]
        given = (f"`{row['preset']}`", *(row[name] for name in ("changes", "function", "settings", "problems")))
        cells = (*given, *figures, verdict, row["why"])
        yield f"| {' | '.join(cells)} |"
