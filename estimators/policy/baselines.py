"""Baselines: what is subtracted from a return, one number for each rollout or for all."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput
from estimators.policy.rollouts import Rollouts, Sequences, Tokens
from estimators.tools.groups import mean_of_group, mean_of_others

Baseline = Callable[[Sequences, Tokens, Rollouts], Float[Tensor, "..."]]


def no_baseline(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Float[Tensor, "..."]:
    """Returns 0."""
    return total.new_zeros(())


def leave_one_out(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Sequences:
    """Returns the mean of the group's other rollouts, for K ≥ 2.

    Source: Kool et al. 2019, OpenReview r1lgTGL5DE; Ahmadian et al. 2024 (RLOO), arXiv:2402.14740, section 3.3.
    """
    if total.shape[-1] < 2:
        raise BadInput("baseline 'leave_one_out' needs at least 2 rollouts of each prompt, found 1")
    return mean_of_others(total, -1)


def group_mean(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Float[Tensor, "*batch 1"]:
    """Returns the mean of the group, own rollout included: (1 − 1/K) of leave-one-out, for every set of rollouts.

    Source: Shao et al. 2024 (GRPO), arXiv:2402.03300, section 4.1.2; Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783.
    """
    return mean_of_group(total, -1)


def batch_mean(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Float[Tensor, "*batch 1 1"]:
    """Returns the mean over the batch's N = B·K rollouts: its mean gradient is exactly 1 − 1/N of the right one.

    Source: Williams 1992, Machine Learning 8, 229–256 (reinforcement comparison), here with the current batch.
    """
    return total.mean((-2, -1), keepdim=True)


def batch_token_mean(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Float[Tensor, "*batch 1 1"]:
    """Returns the mean of the returns at the batch's tokens: long rollouts count more.

    Source: Hu 2025 (REINFORCE++), arXiv:2501.03262, equation of the normalised advantage.
    """
    mask = rollouts.mask
    return (at_tokens * mask).sum((-3, -2, -1)).div(mask.sum((-3, -2, -1)).clamp_min(1))[..., None, None]


def greedy(total: Sequences, at_tokens: Tokens, rollouts: Rollouts) -> Float[Tensor, "*batch 1"]:
    """Returns the reward of each prompt's greedy rollout, which no draw changes.

    Source: Rennie et al. 2017, arXiv:1612.00563, equation 9; Li et al. 2023 (ReMax), arXiv:2310.10505, algorithm 1.
    """
    return rollouts.required("greedy_rewards", "baseline 'greedy'").detach().unsqueeze(-1)


BASELINE_PARTS: dict[str, Baseline] = {
    "none": no_baseline,
    "leave_one_out": leave_one_out,
    "group_mean": group_mean,
    "batch_mean": batch_mean,
    "batch_token_mean": batch_token_mean,
    "greedy": greedy,
}
"""Baselines by name, functions of each rollout's total, the returns at tokens, and the rollouts. `critic` is not one of
them: it needs the rewards of single tokens (`returns.critic_advantages`)."""
