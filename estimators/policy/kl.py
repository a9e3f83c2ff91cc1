"""KL terms: estimates of the distance from the reference policy, and how a ratio in front differentiates them."""

from collections.abc import Callable

import torch
from torch import Tensor

from estimators.policy.ratios import RATIO_PARTS
from estimators.policy.returns import later
from estimators.policy.rollouts import Rollouts, Tokens


def k1(d: Tensor) -> Tensor:
    """Returns d = log π/π_ref. Its mean is KL(π‖π_ref); the mean of its gradient is 0."""
    return d


def k2(d: Tensor) -> Tensor:
    """Returns d²/2. The mean of its gradient is ∇KL(π‖π_ref), of a token or of a whole sequence as d is."""
    return d.square() / 2


def k3(d: Tensor) -> Tensor:
    """Returns e^{−d} − 1 + d ≥ 0. Its mean is KL(π‖π_ref); the mean of its gradient is ∇KL(π_ref‖π)."""
    return torch.expm1(-d) + d


KL_FORMS: dict[str, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
"""Functions of d = log π/π_ref by name.

Source: Schulman 2020, Approximating KL divergence (joschu.net/blog/kl-approx.html); as rewards and as losses: Tang,
Munos 2025, arXiv:2506.09477; Liu et al. 2025, arXiv:2510.01555.
"""


def full_kl(rollouts: Rollouts) -> Tokens:
    """Returns KL(π(·|y_<t)‖π_ref(·|y_<t)) at each prefix of the rollouts, over the whole vocabulary.

    A token of probability 0 counts 0.
    """
    why = "kl = 'full'"
    ours, theirs = rollouts.required("next_log_probs", why), rollouts.required("next_reference", why).detach()
    counted = (rollouts.mask > 0).unsqueeze(-1) & (ours.detach().exp() > 0)
    ours = torch.where(counted, ours, 0)  # before exp and the difference, whose gradients at −∞ are NaN
    return (ours.exp() * torch.where(counted, ours - theirs, 0)).sum(-1)


def log_distance(rollouts: Rollouts, log_probs: Tokens, level: str) -> Tensor:
    """Returns d of each token `[…, K, T]`, or of each sequence `[…, K]`."""
    d = log_probs - rollouts.required("reference", "a KL term").detach()
    return d if level == "token" else d.sum(-1)


def distance(rollouts: Rollouts, log_probs: Tokens, form: str, level: str) -> Tensor:
    """Returns the KL estimate of each token `[…, K, T]` or of each sequence `[…, K]`, with log_probs' gradient."""
    if form == "full":
        return full_kl(rollouts)
    return KL_FORMS[form](log_distance(rollouts, log_probs, level)) * (rollouts.mask if level == "token" else 1)


def later_distance(rollouts: Rollouts) -> Tokens:
    """Returns the sum of d over strictly later tokens, detached.

    In the reward, it adds what a KL term of single tokens in the loss lacks: how a token changes the later prefixes.
    """
    d = log_distance(rollouts, rollouts.log_probs, "token").detach()
    return later(d, 1.0) - d


def differentiated(rollouts: Rollouts, ratio: str, level: str) -> Tensor:
    """Returns π/π_prox as a function of θ, with the gradient of all tokens in it: of each token, or of each sequence.

    Times k3, its derivative gives back what k3's own lacks. At level "token" the loss's own `ratio` stands in front of
    each token (the token's ratio where there is none), at level "sequence" the whole product.
    Source: DeepSeek-AI 2025 (V3.2, unbiased KL estimate), arXiv:2512.02556, equation 7.
    """
    log_ratio = rollouts.log_probs - rollouts.old
    if level == "sequence":
        return log_ratio.sum(-1).exp()
    return RATIO_PARTS["token" if ratio == "none" else ratio](log_ratio, rollouts.mask).exp()
