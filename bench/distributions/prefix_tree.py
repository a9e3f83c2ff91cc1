"""Exact sums over the tree of all token sequences that may stop at an end token.

The vocabulary has V tokens, 0 … V − 1; the last of them, V − 1, is the end token. The *content* of a sequence is what
stands before its end token. Contents are ordered by length, then as numbers in base V − 1 with the first token as the
leading digit, so content (y_1 … y_n) has row Σ_{j<n} (V − 1)^j + Σ_i y_i (V − 1)^{n−i}. Rows of contents shorter than T
are also the rows of prefixes, `[prefixes]`; contents of up to T tokens number all sequences, `[sequences]`. Those of T
tokens are unfinished answers. A sum over the tree takes T tensor operations and no list of sequences.
"""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from estimators.policy.prefix_table import token_numbers


def starts(T: int, V: int) -> list[int]:
    """Returns the row of the first content of each length 0 … T + 1; the last is the number of sequences.

    >>> starts(3, 3)
    [0, 1, 3, 7, 15]
    """
    return [0, *itertools.accumulate((V - 1) ** t for t in range(T + 1))]


def sequence_log_probs(log_probs: Float[Tensor, "*batch prefixes V"], T: int) -> Float[Tensor, "*batch sequences"]:
    """Returns the log-probability of every sequence, from those of the next token after every prefix."""
    start = starts(T, log_probs.shape[-1])
    reach, found = torch.zeros_like(log_probs[..., :1, 0]), []
    for t in range(T):
        rows = log_probs[..., start[t] : start[t + 1], :]
        found.append(reach + rows[..., -1])
        reach = (reach.unsqueeze(-1) + rows[..., :-1]).flatten(-2)
    return torch.cat([*found, reach], -1)


def action_values(
    probs: Float[Tensor, "*batch prefixes V"], rewards: Float[Tensor, "*rewarded sequences"], T: int
) -> Float[Tensor, "*batch prefixes V"]:
    """Returns the expected reward given a prefix and its next token, by a backward recursion. Batch axes broadcast."""
    start = starts(T, probs.shape[-1])
    rewards = rewards.expand(*torch.broadcast_shapes(rewards.shape[:-1], probs.shape[:-2]), rewards.shape[-1])
    value, found = rewards[..., start[T] :], []
    for t in reversed(range(T)):
        rows = slice(start[t], start[t + 1])
        children = value.unflatten(-1, (-1, probs.shape[-1] - 1))
        each = torch.cat([children, rewards[..., rows].unsqueeze(-1).expand(*children.shape[:-1], 1)], -1)
        value = (probs[..., rows, :] * each).sum(-1)
        found.append(each)
    return torch.cat(found[::-1], -2)


def tilted(
    log_probs: Float[Tensor, "*batch prefixes V"],
    rewards: Float[Tensor, "*batch sequences"],
    success: Float[Tensor, "*batch"],
    T: int,
) -> Float[Tensor, "*batch prefixes V"]:
    """Returns log-probabilities of the policy nearest to a given one at which rewards of 0 and 1 have mean `success`.

    π(y) ∝ π_0(y) exp(s R(y)) has the least KL(π‖π_0) of all policies with its reward (Peters, Mülling, Altün 2010,
    AAAI, equation 3); e^s is the ratio of the odds.
    """
    before = (sequence_log_probs(log_probs, T).exp() * rewards).sum(-1)
    odds = success / (1 - success) * (1 - before) / before
    weight = torch.where(rewards > 0, odds.unsqueeze(-1), torch.ones_like(rewards))
    return (log_probs + action_values(log_probs.exp(), weight, T).log()).log_softmax(-1)


def sequence_rows(z: Float[Tensor, "*batch T V"]) -> Int[Tensor, "*batch"]:
    """Returns the row of each sequence, one-hot with end tokens after the end."""
    T, V = z.shape[-2:]
    token, going = token_numbers(z), z[..., -1] == 0
    local = torch.zeros_like(token[..., 0])
    for t in range(T):
        local = torch.where(going[..., t], local * (V - 1) + token[..., t], local)
    shorter = (V - 1) ** torch.arange(T, device=z.device)  # contents of each length below the answer's own
    return (going * shorter).sum(-1) + local


def prefixes_of(n: int, V: int, device: torch.device | None = None) -> Int[Tensor, "prefixes n"]:
    """Returns all prefixes of n tokens without an end token, in order.

    >>> prefixes_of(2, 3).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    place = (V - 1) ** torch.arange(n - 1, -1, -1, device=device)
    return torch.arange((V - 1) ** n, device=device).unsqueeze(-1) // place % (V - 1)


def sequences(T: int, V: int, like: Tensor) -> Float[Tensor, "sequences T V"]:
    """Returns every sequence, one-hot, in the order of rows."""
    blocks = []
    for n in range(T + 1):
        blocks.append(torch.nn.functional.pad(prefixes_of(n, V, like.device), (0, T - n), value=V - 1))
    return torch.eye(V, dtype=like.dtype, device=like.device)[torch.cat(blocks)]


def content_lengths(T: int, V: int) -> Int[Tensor, " sequences"]:
    """Returns the length of each content."""
    return torch.repeat_interleave(torch.arange(T + 1), (V - 1) ** torch.arange(T + 1))
