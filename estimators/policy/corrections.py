"""The second ratio, π_prox/μ, detached: it corrects for rollouts drawn by another policy than the proximal one."""

from collections.abc import Callable

import torch

from estimators.policy.ratios import of_nothing, of_sequence, of_token
from estimators.policy.rollouts import Tokens

CORRECTION_PARTS: dict[str, Callable[[Tokens, Tokens], Tokens]] = {
    "none": of_nothing,
    "token": of_token,
    "sequence": of_sequence,
}
"""Levels of the correction by name: functions of log π_prox/μ at each token, and of the mask."""


def truncated(weight: Tokens, low: float, high: float) -> Tokens:
    """Returns the weight, at least low and at most high.

    Source: Ionides 2008, J. Comput. Graph. Stat. 17, 295–311; Yao et al. 2025 (TIS for rollout engines).
    """
    return weight.clamp(low, high)


def excluded(weight: Tokens, low: float, high: float) -> Tokens:
    """Returns the weight, and 0 where it is below low or above high.

    Source: Ling Team 2025 (IcePop), arXiv:2510.18855; verl 0.9.1, rollout correction "low_high".
    """
    return torch.where((weight >= low) & (weight <= high), weight, 0)


CORRECTION_RULES: dict[str, Callable[[Tokens, float, float], Tokens]] = {"truncate": truncated, "mask": excluded}
"""What happens to a weight that is out of bounds, by name."""
