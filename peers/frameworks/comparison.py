"""What a comparison of a preset with a framework's function is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from peers.frameworks.problems import EXTREME, KINDS

EVERY = (*KINDS, EXTREME)
WHOLE_BATCH = "all equal"
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


PER_TOKEN = "the value counts the ratio at each token, TRL's once for each rollout: values are not compared"
