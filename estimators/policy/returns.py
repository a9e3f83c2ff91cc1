"""From rewards at each token to a return at each token, with and without a critic."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.policy.rollouts import Rollouts, Sequences, Tokens


def at_last_token(number: Sequences, mask: Tokens) -> Tokens:
    """Returns a number of each rollout at its last token, 0 elsewhere.

    >>> at_last_token(torch.tensor([[5.0]]), torch.tensor([[[1.0, 1.0, 0.0]]]))
    tensor([[[0., 5., 0.]]])
    """
    last = mask * (later(mask, 1.0) == 1)  # also where the mask has gaps, such as a tool's tokens
    return number.unsqueeze(-1) * last


def rewards_at_tokens(rollouts: Rollouts) -> Tokens:
    """Returns c_t, detached: the rewards of the tokens, and R at the last one."""
    steps = 0 if rollouts.step_rewards is None else rollouts.step_rewards
    return (at_last_token(rollouts.rewards, rollouts.mask) + steps).detach()


def whole_return(c: Tokens, mask: Tokens, log_ratio: Tokens, gamma: float) -> Tokens:
    """Returns Σ_u c_u at every token: each token is credited with all rewards."""
    return c.sum(-1, keepdim=True).expand_as(c) * mask


def to_go(c: Tokens, mask: Tokens, log_ratio: Tokens, gamma: float) -> Tokens:
    """Returns Σ_{u≥t} γ^{u−t} c_u: earlier rewards do not depend on token t.

    Source: Williams 1992; Sutton, McAllester, Singh, Mansour 2000 (NIPS 12), theorem 1.
    """
    return later(c, gamma) * mask


def reweighted_to_go(c: Tokens, mask: Tokens, log_ratio: Tokens, gamma: float) -> Tokens:
    """Returns Σ_{u≥t} γ^{u−t} (Π_{t<s≤u} r_s) c_u, r = π/π_prox: an unbiased estimate of Q^π(y_≤t) from other draws.

    With the prefix ratio up to token t in front, each reward is weighed by the prefix up to its own token.
    Source: Precup, Sutton, Singh 2000 (per-decision importance sampling), ICML 2000, section 3.
    """
    S = log_ratio.detach().cumsum(-1)
    u = torch.arange(c.shape[-1], dtype=c.dtype, device=c.device) * math.log(gamma)

    def weighed(part: Tokens) -> Tokens:
        return (part.log() + S + u).flip(-1).logcumsumexp(-1).flip(-1).sub(S + u).exp()

    return (weighed(c.clamp_min(0)) - weighed((-c).clamp_min(0))) * mask


RETURN_PARTS: dict[str, Callable[[Tokens, Tokens, Tokens, float], Tokens]] = {
    "whole": whole_return,
    "to_go": to_go,
    "reweighted_to_go": reweighted_to_go,
}
"""Returns by name: functions of c_t, mask, log π/π_prox and γ."""


def later(x: Tokens, factor: float, horizon: int = 0) -> Tokens:
    """Returns Σ_{u≥t} factor^{u−t} x_u, of the next `horizon` tokens alone unless that is 0.

    >>> later(torch.tensor([[[1.0, 2.0, 4.0]]]), 0.5)
    tensor([[[3., 4., 4.]]])
    """
    if factor == 1 and not horizon:
        return x.flip(-1).cumsum(-1).flip(-1)
    return x @ _kernel(x, factor, horizon)


def _kernel(x: Tensor, factor: float, horizon: int) -> Float[Tensor, "T T"]:
    """Returns factor^{u−t} at [u, t] where 0 ≤ u − t (< horizon), else 0."""
    place = torch.arange(x.shape[-1], device=x.device)
    ahead = place[:, None] - place
    counted = (ahead >= 0) & (ahead < (horizon or len(place)))
    return torch.where(counted, factor ** ahead.clamp_min(0).to(x.dtype), 0)


def critic_advantages(c: Tokens, mask: Tokens, values: Tokens, gamma: float, *, lam: float, horizon: int = 0) -> Tokens:
    """Returns Σ_{u≥t} (γλ)^{u−t} δ_u, δ_t = c_t + γ V_{t+1} − V_t, the value after the last token being 0.

    With `horizon` = n (and λ = 1) it is the n-step advantage, Σ_{i<n} γ^i c_{t+i} + γ^n V_{t+n} − V_t. Exact values
    make every λ and n unbiased at γ = 1; wrong ones leave λ = γ = 1 without `horizon` alone.
    Source: Schulman, Moritz, Levine, Jordan, Abbeel 2016 (GAE), arXiv:1506.02438, equations 11 and 16.
    """
    following = torch.nn.functional.pad((values * mask)[..., 1:], (0, 1))
    delta = (c + gamma * following - values).detach() * mask
    return later(delta, gamma * lam, horizon) * mask
