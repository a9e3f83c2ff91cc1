"""A policy small enough to enumerate: two prompts, vocabulary 3 with an end token, at most 3 tokens, 15 sequences each.

The mean of a loss's gradient is a sum over all tuples of rollouts, in float64: no draws, no tolerance but rounding.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from estimators.policy.loss import PolicyLoss
from estimators.policy.prefix_table import PrefixTable
from estimators.policy.rollouts import Rollouts

PROMPTS, T, V = 2, 3, 3


def logits(seed: int, scale: float = 0.8) -> Tensor:
    """Logits of all prefixes, `[2, 7, 3]`."""
    draw = torch.Generator().manual_seed(seed)
    return scale * torch.randn(PROMPTS, 7, V, generator=draw, dtype=torch.float64)


THETA = logits(0)
BEHAVIOUR = THETA + logits(1, 0.4)
REFERENCE = THETA + logits(2, 0.5)
Z = PrefixTable(THETA).enumerate_support()  # [S, B, T, V]
MASK = PrefixTable(THETA).mask(Z).movedim(0, 1)  # [B, S, T]
LENGTH = MASK.sum(-1)
S = len(Z)
RIGHT = (torch.rand(PROMPTS, S, generator=torch.Generator().manual_seed(3)) < 0.4).to(torch.float64)
GRADED = torch.randn(PROMPTS, S, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
STEPS = torch.randn(PROMPTS, S, T, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def by_prefix(steps: Tensor) -> Tensor:
    """Rewards of tokens that depend on the tokens so far alone: the first sequence with a prefix decides for all."""
    found = steps.clone()
    for t in range(T):
        same = (Z[:, None, :, : t + 1] == Z[None, :, :, : t + 1]).all(-1).all(-1).movedim(-1, 0)  # [B, S, S]
        found[..., t] = steps[..., t].gather(-1, same.to(torch.uint8).argmax(-1))
    return found * MASK


COSTS = by_prefix(STEPS)


def log_steps(theta: Tensor) -> Tensor:
    """log π of every token of every sequence, `[B, S, T]`."""
    return PrefixTable(theta).log_prob_steps(Z).movedim(0, 1)


def log_law(theta: Tensor) -> Tensor:
    """log π of every sequence, `[B, S]`."""
    return log_steps(theta).sum(-1)


def next_tokens(theta: Tensor) -> Tensor:
    """log π of every next token after every prefix of every sequence, `[B, S, T, V]`."""
    return PrefixTable(theta).next_log_probs(Z).movedim(0, 1)


def gradient(value: Callable[[Tensor], Tensor], at: Tensor = THETA) -> Tensor:
    """∇θ of the mean over prompts of value(θ), `[B]`: `[B, 7, 3]`."""
    return torch.func.grad(lambda theta: value(theta).mean())(at)


def expected_reward(rewards: Tensor = RIGHT) -> Callable[[Tensor], Tensor]:
    """θ ↦ E R of each prompt."""
    return lambda theta: (log_law(theta).exp() * rewards).sum(-1)


def kl(theta: Tensor, other: Tensor = REFERENCE) -> Tensor:
    """KL(π‖other) of each prompt."""
    return (log_law(theta).exp() * (log_law(theta) - log_law(other))).sum(-1)


def reverse_kl(theta: Tensor) -> Tensor:
    """KL(π_ref‖π) of each prompt."""
    return (log_law(REFERENCE).exp() * (log_law(REFERENCE) - log_law(theta))).sum(-1)


def values_of(rewards: Tensor, theta: Tensor = THETA) -> Tensor:
    """The exact value of each token's prefix, before the token, `[B, S, T]`: E_π[R | y_<t]; 0 after the end."""
    law, found = log_law(theta).exp(), []
    for t in range(T):
        same = (Z[:, None, :, :t] == Z[None, :, :, :t]).all(-1).all(-1).movedim(-1, 0).to(law.dtype)
        found.append((same @ (law * rewards).unsqueeze(-1) / (same @ law.unsqueeze(-1))).squeeze(-1))
    return torch.stack(found, -1) * MASK


def tuples(K: int, prompts: int = 1) -> Tensor:
    """All K-tuples of sequences for each of the prompts, `[R, prompts, K]`."""
    each = torch.cartesian_prod(*[torch.arange(S)] * (K * prompts))
    return each.reshape(-1, prompts, K)


def chosen(table: Tensor, index: Tensor, prompts: list[int]) -> Tensor:
    """Rows of a table `[B, S, …]` for rollouts `[R, prompts, K]`."""
    return torch.stack([table[b][index[:, i]] for i, b in enumerate(prompts)], 1)


def rollouts_at(
    theta: Tensor, index: Tensor, prompts: list[int], rewards: Tensor = RIGHT, behaviour: Tensor = THETA, **more: Tensor
) -> Rollouts:
    """Rollouts with replicates `R`, of sequences by number; `more`: tables `[B, S, …]` of other tensors
    (greedy rewards: `[B]`)."""
    tables = {"log_probs": log_steps(theta), "next_log_probs": next_tokens(theta)} | more
    greedy = {name: tables.pop(name) for name in ("greedy_rewards",) if name in tables}
    constant = {
        "behaviour": log_steps(behaviour),
        "reference": log_steps(REFERENCE),
        "next_reference": next_tokens(REFERENCE),
        "rewards": rewards,
        "mask": MASK,
    }
    given = {name: chosen(table, index, prompts) for name, table in (constant | tables).items()}
    return Rollouts(**given | {name: table[prompts].expand(len(index), -1) for name, table in greedy.items()})


def mean_estimate(
    loss: PolicyLoss, K: int = 1, *, together: bool = False, behaviour: Tensor = THETA, **more: Tensor
) -> Tensor:
    """E_μ of the estimate, `[B, 7, 3]`: over all tuples of K rollouts of each prompt, or of both prompts `together`."""
    batches = [[0, 1]] if together else [[0], [1]]

    def total(theta: Tensor) -> Tensor:
        found = []
        for prompts in batches:
            index = tuples(K, len(prompts))
            law = chosen(log_law(behaviour), index, prompts).sum((-2, -1)).exp()
            rollouts = rollouts_at(theta, index, prompts, behaviour=behaviour, **more)
            found.append((law * -loss(rollouts)).sum() * len(prompts) / PROMPTS)
        return torch.stack(found).sum()

    return torch.func.grad(total)(THETA)


def scores() -> Tensor:
    """s_t of every token of every sequence in the logits of its own prompt, `[B, S, T, 21]`."""
    jacobian = torch.func.jacrev(log_steps)(THETA)  # [B, S, T, B, 7, 3]
    return torch.stack([jacobian[b, :, :, b].flatten(-2) for b in range(PROMPTS)])


def estimates(loss: PolicyLoss, K: int = 1, behaviour: Tensor = THETA, **more: Tensor) -> tuple[Tensor, Tensor]:
    """The estimates from each K-tuple of a prompt's rollouts `[B, R, 21]`, and their probabilities `[B, R]`."""
    found, laws, index = [], [], tuples(K)
    for b in range(PROMPTS):
        C = loss.coefficients(rollouts_at(THETA, index, [b], behaviour=behaviour, **more))
        found.append((C.unsqueeze(-1) * chosen(scores(), index, [b])).sum((1, 2, 3)))
        laws.append(chosen(log_law(behaviour), index, [b]).sum((-2, -1)).exp())
    return torch.stack(found), torch.stack(laws)


def variance(loss: PolicyLoss, K: int = 1, behaviour: Tensor = THETA, **more: Tensor) -> Tensor:
    """The total variance of the estimate from K rollouts of a prompt, `[B]`."""
    estimate, law = estimates(loss, K, behaviour, **more)
    mean = (law.unsqueeze(-1) * estimate).sum(-2)
    return (law * estimate.square().sum(-1)).sum(-1) - mean.square().sum(-1)


def tables(**named: Tensor) -> dict[str, Any]:
    """Named tensors for the functions here."""
    return named


def degrees(a: Tensor, b: Tensor) -> float:
    """The angle between two gradients."""
    cosine = float((a * b).sum() / (a.norm() * b.norm()))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference of two gradients, relative to the second."""
    return float((a - b).abs().max() / b.abs().max())


def same(a: Tensor, b: Tensor) -> bool:
    """Equal to 1e-10 of the second."""
    return apart(a, b) < 1e-10
