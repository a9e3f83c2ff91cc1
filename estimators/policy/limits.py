"""Limits of a ratio: how a token's gain depends on its ratio and its advantage."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from estimators.policy.rollouts import Tokens

Each = Float[Tensor, "*each"]
"""A number for every token, or for every draw."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of a ratio, and dual clip's factor."""

    low: float
    high: float
    dual: float


def unlimited(ratio: Tokens, advantage: Tokens, log_probs: Tokens, bounds: Bounds) -> Tokens:
    """Returns r A."""
    return ratio * advantage


def clipped(ratio: Tokens, advantage: Tokens, log_probs: Tokens, bounds: Bounds) -> Tokens:
    """Returns min(r A, clip(r, low, high) A): no gradient where the ratio is past the bound that A pushes it to.

    Source: Schulman et al. 2017 (PPO), arXiv:1707.06347, equation 7; high > 2 − low is clip-higher, Yu et al. 2025
    (DAPO), arXiv:2503.14476, equation 10.
    """
    return clipped_gain(ratio, advantage, bounds.low, bounds.high)


def clipped_gain(ratio: Each, advantage: Each, low: float, high: float) -> Each:
    """Returns min(r A, clip(r, low, high) A) of tensors of any one shape: of tokens, or of whole draws."""
    return torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)


def dual_clipped(ratio: Tokens, advantage: Tokens, log_probs: Tokens, bounds: Bounds) -> Tokens:
    """Returns the clipped gain, but at least dual · A where A < 0: no gradient where the ratio exceeds dual there.

    Source: Ye et al. 2020, arXiv:1912.09729, equation 5.
    """
    gain = clipped(ratio, advantage, log_probs, bounds)
    return torch.where(advantage < 0, torch.maximum(gain, bounds.dual * advantage), gain)


def detached(ratio: Tokens, advantage: Tokens, log_probs: Tokens, bounds: Bounds) -> Tokens:
    """Returns sg(clamp(r, low, high)) A log π: no token loses its gradient. low = 0 makes it one-sided.

    Source: Chen et al. 2025 (MiniMax-M1, CISPO), arXiv:2506.13585, equations 4 and 5.
    """
    return ratio.clamp(bounds.low, bounds.high).detach() * advantage * log_probs


LIMIT_PARTS: dict[str, Callable[[Tokens, Tokens, Tokens, Bounds], Tokens]] = {
    "none": unlimited,
    "clip": clipped,
    "dual_clip": dual_clipped,
    "detached": detached,
}
"""Limits by name: functions of the ratio (see `through_own_token`), the advantage, log π, and the bounds."""


def limited(limit: str, ratio: Tokens, advantage: Tokens, bounds: Bounds) -> Bool[Tensor, "..."]:
    """Returns where a limit is active: a clip removes the token's gradient, a detached clamp changes its weight."""
    above, below = ratio > bounds.high, ratio < bounds.low
    if limit == "detached":
        return above | below
    past = (above & (advantage > 0)) | (below & (advantage < 0))
    if limit == "dual_clip":
        past = past | ((ratio > bounds.dual) & (advantage < 0))
    return past if limit != "none" else torch.zeros_like(above)
