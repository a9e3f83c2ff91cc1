"""Rollouts on which a preset and a framework's function are compared: plain float64 arrays by name.

Behind the end of a rollout there are other numbers than 0, as in a trainer's tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from estimators.policy import Rollouts

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """How rollouts of a problem are drawn.

    Args:
        B, K, T: prompts, rollouts of each, length of the padded tensors.
        longest: length of the longest rollout.
        shortest: length of the shortest rollout.
        stale: standard deviation of log π_prox − log π at a token.
        engine: standard deviation of log μ − log π_prox at a token.
        rewards: "graded", "right or wrong" (0 or 1), "one group equal", or "equal".
        scale: factor of rewards and values.
    """

    B: int = 2
    K: int = 4
    T: int = 5
    longest: int = 5
    shortest: int = 1
    stale: float = 0.3
    engine: float = 0.2
    rewards: str = "graded"
    scale: float = 1.0


KINDS = {
    "on-policy": Kind(stale=0.0, engine=0.0),
    "stale": Kind(),
    "far": Kind(stale=1.0, engine=0.8),
    "two rollouts": Kind(B=4, K=2),
    "eight rollouts": Kind(B=2, K=8),
    "right or wrong": Kind(rewards="right or wrong"),
    "one group equal": Kind(rewards="one group equal"),
    "all equal": Kind(rewards="equal"),
    "padded": Kind(T=7, longest=4),
    "one length": Kind(shortest=5),
    "one token": Kind(T=3, longest=1),
    "faint": Kind(scale=1e-4),
}
"""Problems by name. "far" reaches every bound of a ratio, and "faint" makes every ε visible."""

EXTREME = "extreme"
"""A problem apart: ratios, and distances from the reference, beyond what the frameworks clamp."""


def drawn(kind: Kind, seed: int) -> Arrays:
    """Returns the tensors of a problem."""
    draw = np.random.default_rng(seed)
    shape = (kind.B, kind.K, kind.T)
    now = -1.5 + 0.4 * draw.standard_normal(shape)
    proximal = now + kind.stale * draw.standard_normal(shape)
    lengths = draw.integers(kind.shortest, kind.longest + 1, shape[:2])
    lengths[0, 0], lengths[-1, -1] = kind.longest, kind.shortest
    return {
        "log_probs": now,
        "proximal": proximal,
        "behaviour": proximal + kind.engine * draw.standard_normal(shape),
        "reference": now + 0.3 * draw.standard_normal(shape),
        "values": kind.scale * draw.standard_normal(shape),
        "rewards": kind.scale * rewarded(kind, draw),
        "greedy_rewards": kind.scale * draw.standard_normal(kind.B),
        "mask": (np.arange(kind.T) < lengths[..., None]).astype(np.float64),
    }


def rewarded(kind: Kind, draw: np.random.Generator) -> np.ndarray:
    """Returns the rewards `[B, K]`; no two groups of "right or wrong" have the same number of right answers."""
    graded = draw.standard_normal((kind.B, kind.K))
    if kind.rewards == "right or wrong":
        return (np.arange(kind.K) <= np.arange(kind.B)[:, None]).astype(np.float64)
    if kind.rewards == "one group equal":
        graded[0] = 0.7
    return np.full_like(graded, 0.7) if kind.rewards == "equal" else graded


def problems() -> dict[str, Arrays]:
    """Returns all problems by name, the extreme one last."""
    found = {name: drawn(kind, seed) for seed, (name, kind) in enumerate(KINDS.items())}
    extreme = drawn(Kind(shortest=4), len(KINDS))
    extreme["proximal"][0, :2, :4] = extreme["log_probs"][0, :2, :4] + [25.0, -25.0, 22.0, -22.0]
    extreme["reference"][0, :2, :4] = extreme["log_probs"][0, :2, :4] + [12.0, -12.0, 3.0, -3.0]
    extreme["rewards"][0, :2] = [2.0, -2.0]
    return found | {EXTREME: extreme}


def write(path: Path, found: Mapping[str, Arrays]) -> None:
    """Writes problems for the frameworks' side."""
    np.savez(path, **named(found))


def named(found: Mapping[str, Arrays]) -> dict[str, Any]:
    """Returns the tensors of all problems, by the names `problem/tensor`."""
    return {f"{name}/{tensor}": value for name, arrays in found.items() for tensor, value in arrays.items()}


def rollouts(arrays: Arrays, log_probs: Tensor | None = None) -> Rollouts:
    """Returns a problem as rollouts, with these log-probabilities in place of those that it has."""
    tensors: dict[str, Any] = {name: torch.tensor(value) for name, value in arrays.items()}
    return Rollouts(**tensors if log_probs is None else tensors | {"log_probs": log_probs})
