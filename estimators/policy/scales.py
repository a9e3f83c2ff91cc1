"""Scales: what an advantage is divided by."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput
from estimators.policy.rollouts import Sequences, Tokens
from estimators.tools.groups import apart_from_mean, deviation_of, over_scale, rounding


def unscaled(advantage: Tokens, total: Sequences, mask: Tokens, epsilon: float, bessel: bool) -> Tokens:
    """Returns the advantage as it is."""
    return advantage


def by_group(advantage: Tokens, total: Sequences, mask: Tokens, epsilon: float, bessel: bool) -> Tokens:
    """Divides by the standard deviation of the group's rewards, plus ε.

    With 0/1 rewards, ε = 0 and token sums each prompt's mean gradient is c(p) times the right one: a weight by
    difficulty, and none at K = 2 and 3.
    Source: Shao et al. 2024 (GRPO), arXiv:2402.03300, section 4.1.2.
    """
    return over_scale(advantage, deviation(total, (-1,), bessel)[..., None, None], epsilon)


def by_batch(advantage: Tokens, total: Sequences, mask: Tokens, epsilon: float, bessel: bool) -> Tokens:
    """Divides by the standard deviation of the rewards of all the batch's rollouts, plus ε.

    Source: TRL 1.16.0, `GRPOTrainer` with scale_rewards="batch"; Liu et al. 2025 (Lite PPO), arXiv:2508.08221.
    """
    return over_scale(advantage, deviation(total, (-2, -1), bessel)[..., None, None, None], epsilon)


def whitened(advantage: Tokens, total: Sequences, mask: Tokens, epsilon: float, bessel: bool) -> Tokens:
    """Subtracts the mean over the batch's tokens, and divides by √(variance over the batch's tokens + ε).

    It bends the direction within a prompt, because long rollouts count more in the mean and in the variance.
    Source: Hu 2025 (REINFORCE++), arXiv:2501.03262; verl 0.9.1, `masked_whiten`.
    """
    apart, variance = centred_over_tokens(advantage, mask, bessel)
    return over_scale(apart, (variance + epsilon).sqrt(), 0.0)


def floored_whitening(advantage: Tokens, total: Sequences, mask: Tokens, epsilon: float, bessel: bool) -> Tokens:
    """Subtracts the mean over the batch's tokens, and divides by √max(variance over the batch's tokens, ε).

    Source: OpenRLHF 0.11.2, `RemoteExperienceMaker.compute_advantages_and_returns`.
    """
    apart, variance = centred_over_tokens(advantage, mask, bessel)
    return over_scale(apart, variance.clamp_min(epsilon).sqrt(), 0.0)


SCALE_PARTS: dict[str, Callable[[Tokens, Sequences, Tokens, float, bool], Tokens]] = {
    "none": unscaled,
    "group": by_group,
    "batch": by_batch,
    "whitening": whitened,
    "floored_whitening": floored_whitening,
}
"""Scales by name: functions of the advantages, each rollout's total, the mask, ε, and whether a variance of n numbers
divides by n − 1 (`bessel`) or by n."""

WHITENINGS = ("whitening", "floored_whitening")
"""Scales of tokens: they need more than rewards, and come after the reward's KL term."""


def centred_over_tokens(advantage: Tokens, mask: Tokens, bessel: bool) -> tuple[Tokens, Tensor]:
    """Returns the advantage less its mean over the batch's tokens, and its variance; 0 where rounding explains both."""
    batch = (-3, -2, -1)
    n = mask.sum(batch, keepdim=True)
    apart = advantage - (advantage * mask).sum(batch, keepdim=True) / n.clamp_min(1)
    apart = apart * mask
    smallest = rounding(advantage * mask, batch, keepdim=True)
    apart = torch.where(apart.abs().amax(batch, keepdim=True) <= smallest, 0, apart)  # NaN stays NaN
    return apart, apart.square().sum(batch, keepdim=True) / (n - int(bessel)).clamp_min(1)


def deviation(total: Sequences, axes: tuple[int, ...], bessel: bool) -> Float[Tensor, "*batch"]:
    """Returns the standard deviation over `axes`; 0 where rounding alone explains the differences.

    Raises:
        BadInput: a deviation with n − 1 of a single number.

    >>> deviation(torch.tensor([[1.0, 3.0]]), (-1,), bessel=False)
    tensor([1.])
    """
    n = torch.Size([total.shape[axis] for axis in axes]).numel()
    if n - bessel < 1:
        raise BadInput("a standard deviation with n − 1 needs at least 2 rollouts, found 1; use bessel=False")
    apart = apart_from_mean(total, axes)
    return deviation_of(apart, rounding(total, axes, keepdim=True), axes, bessel=bessel).squeeze(axes)
