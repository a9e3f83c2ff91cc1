"""Verifiable rewards of token sequences: right (1) or wrong (0), so without a gradient in the sequence."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from bench.distributions.base import Family
from bench.distributions.token_policy import TokenPolicyFamily
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Function, Objective


@objectives.register("token_sum")
@dataclass(frozen=True)
class TokenSum(Target):
    """1 if the tokens 0…V−1 sum to the prompt's number, else 0: arithmetic with a checker.

    Prompt b asks for ⌊T(V−1)/2⌋ + b.
    """

    used_by = "reinforcement learning with verifiable rewards (DeepSeek-R1, Dr. GRPO)"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, TokenPolicyFamily) else "rewards a sequence of tokens"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        assert isinstance(family, TokenPolicyFamily)
        tokens = torch.arange(family.vocabulary, dtype=like.dtype, device=like.device)
        asked = family.size * (family.vocabulary - 1) // 2 + torch.arange(family.prompts, device=like.device)

        def reward(z: Tensor) -> Tensor:
            return ((z @ tokens).sum(-1) == asked).to(z.dtype)

        return Function(reward, differentiable=False)


@objectives.register("balanced_brackets")
@dataclass(frozen=True)
class BalancedBrackets(Target):
    """1 if a sequence of "(" (token 0) and ")" (token 1) is balanced, else 0: syntax with a checker.

    Exact at any length by dynamic programming over (brackets opened, last bracket).
    """

    used_by = "reinforcement learning with verifiable rewards; credit over a whole sequence"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    def fits(self, family: Family) -> str | None:
        if not isinstance(family, TokenPolicyFamily):
            return "rewards a sequence of tokens"
        if family.vocabulary != 2 or family.size % 2:
            return "has two tokens and an even length, so it takes vocabulary 2 and an even size"
        return None

    def value(self, z: Float[Tensor, "*batch T 2"]) -> Float[Tensor, "*batch"]:
        depth = (z[..., 0] - z[..., 1]).cumsum(-1)
        return ((depth >= 0).all(-1) & (depth[..., -1] == 0)).to(z.dtype)

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        return balanced_probability(**parameters)


def balanced_probability(
    start: Float[Tensor, "*batch T 2"], bigram: Float[Tensor, "*batch 2 2"], history: Float[Tensor, "*batch 2 2"]
) -> Float[Tensor, "*batch"]:
    """Returns the probability that a `TokenPolicy` generates a balanced sequence, by a forward recursion.

    `mass[k, j]` is the probability that, of the first t brackets, k are opening, the last is of kind j, and no prefix
    is unbalanced (2k ≥ t). This takes T steps over T/2 · 2 states instead of 2^T sequences.
    """
    length = start.shape[-2]
    most = length // 2
    opened = torch.arange(most + 1, dtype=start.dtype, device=start.device)
    first = start[..., 0, :].softmax(-1)[..., 0]
    mass = pad(first[..., None, None], (0, 1, 1, most - 1))
    for t in range(1, length):
        before = torch.stack([opened, t - opened], -1)
        logits = start[..., t, None, None, :] + bigram[..., None, :, :] + (before @ history)[..., :, None, :]
        moved = (mass[..., None] * logits.softmax(-1)).sum(-2)
        after_open = pad(moved[..., :-1, 0], (1, 0))
        legal = (2 * opened >= t + 1).to(start.dtype)
        mass = torch.stack([after_open, moved[..., 1]], -1) * legal[:, None]
    return mass[..., most, :].sum(-1)
