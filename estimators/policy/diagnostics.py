"""Numbers beside a loss: how much is clipped, how many rollouts the weights are worth, how many groups say nothing."""

from jaxtyping import Float
from torch import Tensor

from estimators.policy.filters import differs_within
from estimators.policy.limits import Bounds, limited
from estimators.policy.loss import PolicyLoss
from estimators.policy.rollouts import Prompts, Rollouts

EachReplicate = Float[Tensor, "*replicates"]


def clipped_share(loss: PolicyLoss, rollouts: Rollouts) -> EachReplicate:
    """Returns the share of the batch's tokens at which the loss's limit is active, as that limit counts it.

    For "clip" and "dual_clip" these tokens have no gradient, for "detached" another weight.
    """
    bounds = Bounds(loss.low, loss.high, loss.dual)
    active = limited(loss.limit, loss.ratios(rollouts).detach(), loss.token_advantages(rollouts), bounds)
    tokens = rollouts.mask.sum((-3, -2, -1)).clamp_min(1)
    return (active * rollouts.mask).sum((-3, -2, -1)) / tokens


def effective_sample_size(rollouts: Rollouts) -> Prompts:
    """Returns (Σ_k w_k)²/Σ_k w_k² of each group, w = π(y)/μ(y) of a whole rollout: K where nothing differs.

    Source: Kong 1992, technical report 348, University of Chicago.
    """
    log_weight = (rollouts.log_probs.detach() - rollouts.drawn_by).sum(-1)
    w = (log_weight - log_weight.amax(-1, keepdim=True)).exp()
    return w.sum(-1).square() / w.square().sum(-1)


def dead_groups(rollouts: Rollouts) -> EachReplicate:
    """Returns the share of groups whose rewards are all equal: no baseline of the group gives them a gradient."""
    return 1 - differs_within(rollouts.total_rewards).to(rollouts.mask.dtype).mean(-1)
