"""Our value and gradient beside a framework's answer: relative differences, and a verdict."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from estimators.policy import PolicyLoss, preset
from peers.frameworks.comparison import AGREES, DIFFERS, NO_FUNCTION, SINGLE, Comparison
from peers.frameworks.problems import Arrays, rollouts

ROUNDING = 1e-9
"""A largest gradient below this counts as this: what is smaller is rounding."""


@dataclass(frozen=True)
class Answer:
    """A loss's value, and its gradient in the log-probabilities, `[B, K, T]`."""

    value: float
    gradient: np.ndarray


Question = tuple[str, str, str]
"""A side's function, its settings as JSON, and a problem."""


def question(comparison: Comparison, problem: str) -> Question:
    """Returns what a framework is asked for a comparison on a problem."""
    return comparison.side, json.dumps(dict(comparison.settings), sort_keys=True), problem


def questions(comparisons: Iterable[Comparison]) -> list[Question]:
    """Returns what frameworks are asked, each question once."""
    return [*dict.fromkeys(question(each, problem) for each in comparisons for problem in each.on)]


def loss_of(comparison: Comparison, K: int, changes: Mapping[str, Any] | None = None) -> PolicyLoss:
    """Returns the preset with the comparison's changes, and others after them."""
    usual = preset(comparison.preset)
    given = {
        part: type(getattr(usual, part))(K) if value == "K" else value for part, value in comparison.changes.items()
    }
    return preset(comparison.preset, **given | dict(changes or {}))


def ours(loss: PolicyLoss, arrays: Arrays) -> Answer:
    """Returns our loss of a problem, with its gradient in log π."""
    log_probs = torch.tensor(arrays["log_probs"]).requires_grad_()
    value = loss(rollouts(arrays, log_probs))
    value.backward()
    assert log_probs.grad is not None
    return Answer(float(value.detach()), log_probs.grad.numpy())


def differences(own: Answer, theirs: Answer) -> tuple[float, float]:
    """Returns the relative differences of value and gradient.

    A value counts relative to the sum of the gradient's magnitudes where that is larger: it is then a difference of
    much larger terms.
    """
    largest = max(float(np.abs(theirs.gradient).max()), ROUNDING)
    scale = max(abs(theirs.value), float(np.abs(theirs.gradient).sum()), ROUNDING)
    return abs(own.value - theirs.value) / scale, float(np.abs(own.gradient - theirs.gradient).max()) / largest


@dataclass(frozen=True)
class Agreement:
    """The largest relative differences over a comparison's problems, and what they say."""

    value: float
    gradient: float
    where: str
    verdict: str


def compared(
    comparison: Comparison,
    problems: Mapping[str, Arrays],
    answers: Mapping[Question, Answer],
    changes: Mapping[str, Any] | None = None,
) -> Agreement:
    """Returns how far a preset, with `changes` to it, is from a framework's answers."""
    if not comparison.side:
        return Agreement(float("nan"), float("nan"), "", NO_FUNCTION)
    found = {}
    for problem in comparison.on:
        arrays = problems[problem]
        own = ours(loss_of(comparison, arrays["rewards"].shape[1], changes), arrays)
        found[problem] = differences(own, answers[question(comparison, problem)])
    value = max(each for each, _ in found.values()) if comparison.value else float("nan")
    gradient = max(each for _, each in found.values())
    agrees = gradient <= comparison.tolerance and (not comparison.value or value <= SINGLE)
    where = max(found, key=lambda name: found[name][1])
    return Agreement(value, gradient, where, AGREES if agrees else DIFFERS)
