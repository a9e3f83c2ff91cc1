"""Ratios of two policies at each token: of the token, of the prefix, of the whole sequence."""

import math
from collections.abc import Callable

import torch

from estimators.policy.rollouts import Tokens


def of_nothing(log_ratio: Tokens, mask: Tokens) -> Tokens:
    """Returns log 1 at every token."""
    return log_ratio * 0


def of_token(log_ratio: Tokens, mask: Tokens) -> Tokens:
    """Returns log r_t. Biased for sequences, because the law of the prefix stays that of the other policy.

    Source: Schulman et al. 2017 (PPO), arXiv:1707.06347, section 3.
    """
    return log_ratio


def of_prefix(log_ratio: Tokens, mask: Tokens) -> Tokens:
    """Returns log Π_{s≤t} r_s: exact with Q^π or A^π at the token, biased with a reward that arrives later.

    Source: Precup, Sutton, Singh 2000, ICML 2000.
    """
    return log_ratio.cumsum(-1) * mask


def of_sequence(log_ratio: Tokens, mask: Tokens) -> Tokens:
    """Returns log Π_t r_t at every token: unbiased, with a variance that grows exponentially in the length.

    Source: Precup, Sutton, Singh 2000, ICML 2000; Kool et al. 2019.
    """
    return log_ratio.sum(-1, keepdim=True) * mask


def geometric(log_ratio: Tokens, mask: Tokens) -> Tokens:
    """Returns log (Π_t r_t)^{1/L} at every token.

    Source: Zheng et al. 2025 (GSPO), arXiv:2507.18071, equation 7.
    """
    return log_ratio.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp_min(1) * mask


RATIO_PARTS: dict[str, Callable[[Tokens, Tokens], Tokens]] = {
    "none": of_nothing,
    "token": of_token,
    "prefix": of_prefix,
    "sequence": of_sequence,
    "geometric": geometric,
    "geometric_differentiated": geometric,
}
"""Ratios by name: functions of log π/π_prox at each token, 0 where the mask is 0, and of the mask; differentiable.

The ratio of a token, a prefix or a sequence has at each token the gradient of that token's log-probability alone (see
`through_own_token`); a differentiated one has the gradient of all tokens in it. The two differ where a rollout's tokens
have different advantages.
"""

DIFFERENTIATED = ("geometric_differentiated",)
"""Ratios with the gradient of all tokens in them.

Source: OpenRLHF 0.11.2, `PolicyLoss` with policy_loss_type "gspo".
"""


def through_own_token(log_weight: Tokens, log_probs: Tokens) -> Tokens:
    """Returns exp(log_weight), whose gradient is that of token t's own log-probability alone: weight × s_t.

    Summed over tokens with one advantage, a sequence's ratio then has the gradient ratio × Σ_t s_t. A weight of 1 has
    REINFORCE's gradient.
    Source: Zheng et al. 2025 (GSPO-token), arXiv:2507.18071, equation 14.
    """
    return (below_overflow(log_weight).detach() + log_probs - log_probs.detach()).exp()


def below_overflow(log_weight: Tokens) -> Tokens:
    """Returns logarithms of weights, at most that of a large finite number: an advantage of 0 times it stays 0.

    >>> below_overflow(torch.full((1, 1, 1), 1e3)).exp().isfinite()
    tensor([[[True]]])
    """
    return log_weight.clamp_max(0.99 * math.log(torch.finfo(log_weight.dtype).max))
