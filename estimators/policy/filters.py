"""Filters: groups whose rewards are all equal have no gradient; what becomes of them."""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from estimators.policy.rollouts import Prompts, Sequences


def differs_within(rewards: Sequences) -> Bool[Tensor, "*batch B"]:
    """Returns for each group whether its rewards differ."""
    return rewards.amax(-1) > rewards.amin(-1)


def all_groups(rewards: Sequences, size: int) -> Prompts:
    """Returns 1 for every prompt."""
    return torch.ones_like(rewards[..., 0])


def all_kept(rewards: Sequences, size: int) -> Prompts:
    """Returns B ÷ the number of kept groups where a group's rewards differ, else 0; 0 for all where none is kept.

    Over a fixed set of prompts each then weighs E[1/number kept | kept]: a tilt to prompts that are kept more often.
    Source: Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 11, without refilling.
    """
    return first_kept(rewards, rewards.shape[-2])


def first_kept(rewards: Sequences, size: int) -> Prompts:
    """Returns B ÷ `size` for the first `size` groups whose rewards differ, else 0: the axis of prompts is a pool.

    Where fewer are kept, their number stands for `size`. With prompts drawn fresh for each pool, the direction of the
    mean gradient is unchanged. Where the pool is one prompt drawn again and again and size = 1, it weighs
    1/(1 − p^K − (1 − p)^K), with 0/1 rewards of success rate p and a pool that is large enough.
    Source: Yu et al. 2025 (DAPO, dynamic sampling), arXiv:2503.14476, equation 11.

    >>> first_kept(torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), 1)
    tensor([0., 3., 0.])
    """
    kept = differs_within(rewards).to(rewards.dtype)
    kept = kept * (kept.cumsum(-1) <= size)
    return kept * kept.shape[-1] / kept.sum(-1, keepdim=True).clamp_min(1)


FILTER_PARTS: dict[str, Callable[[Sequences, int], Prompts]] = {
    "keep": all_groups,
    "drop": all_kept,
    "refill": first_kept,
}
"""Filters by name: functions of the rewards and of a batch size, with a weight for each prompt."""
