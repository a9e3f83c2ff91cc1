"""Aggregates: from a number at each token to one for each prompt, whose mean over prompts is the batch's."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from estimators.policy.rollouts import Prompts, Tokens

PromptWeights = Float[Tensor, "*batch B"]
"""How much each prompt counts: 1 where nothing is filtered."""


def token_sum(x: Tokens, mask: Tokens, kept: PromptWeights, divisor: float) -> Prompts:
    """Returns the sum over tokens ÷ a constant, the mean over rollouts.

    Source: Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783, section 3.2.
    """
    return (x * mask).sum(-1).mean(-1) * kept / divisor


def padded_mean(x: Tokens, mask: Tokens, kept: PromptWeights, divisor: float) -> Prompts:
    """Returns the sum over tokens ÷ the padded length T, the mean over rollouts.

    Source: verl 0.9.1, `agg_loss` with seq-mean-token-sum-norm.
    """
    return token_sum(x, mask, kept, divisor * x.shape[-1])


def sequence_mean(x: Tokens, mask: Tokens, kept: PromptWeights, divisor: float) -> Prompts:
    """Returns the mean over each rollout's tokens, then over rollouts: 1/L bends the direction where lengths differ.

    Source: Shao et al. 2024 (GRPO), arXiv:2402.03300, equation 3.
    """
    length = mask.sum(-1, keepdim=True).clamp_min(1)
    return token_sum(x / length, mask, kept, divisor)


def group_token_mean(x: Tokens, mask: Tokens, kept: PromptWeights, divisor: float) -> Prompts:
    """Returns the mean over all tokens of the group.

    Source: Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 8.
    """
    tokens = mask.sum((-2, -1)).clamp_min(1)
    return (x * mask).sum((-2, -1)) / tokens * kept / divisor


def batch_token_mean_of(x: Tokens, mask: Tokens, kept: PromptWeights, divisor: float) -> Prompts:
    """Returns each prompt's part of the mean over all tokens of the batch, times B.

    Source: TRL 1.16.0, `GRPOTrainer` with loss_type="dapo"; verl 0.9.1, `agg_loss` with token-mean.
    """
    counted = mask * (kept > 0).to(mask.dtype)[..., None, None]
    tokens = counted.sum((-3, -2, -1)).clamp_min(1)
    return (x * counted).sum((-2, -1)) * (x.shape[-3] / tokens).unsqueeze(-1) / divisor


AGGREGATE_PARTS: dict[str, Callable[[Tokens, Tokens, PromptWeights, float], Prompts]] = {
    "token_sum": token_sum,
    "padded_mean": padded_mean,
    "sequence_mean": sequence_mean,
    "group_token_mean": group_token_mean,
    "batch_token_mean": batch_token_mean_of,
}
"""Aggregates by name: functions of a number at each token, the mask, the prompts' weights, and a constant divisor."""
