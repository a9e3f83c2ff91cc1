"""One policy-gradient loss over rollouts, composed of few independent parts."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from estimators.errors import BadInput, nearest
from estimators.policy.aggregates import AGGREGATE_PARTS
from estimators.policy.baselines import BASELINE_PARTS
from estimators.policy.corrections import CORRECTION_PARTS, CORRECTION_RULES
from estimators.policy.filters import FILTER_PARTS
from estimators.policy.kl import KL_FORMS, differentiated, distance, later_distance
from estimators.policy.limits import LIMIT_PARTS, Bounds
from estimators.policy.ratios import DIFFERENTIATED, RATIO_PARTS, below_overflow, through_own_token
from estimators.policy.returns import RETURN_PARTS, at_last_token, critic_advantages, rewards_at_tokens
from estimators.policy.rollouts import Prompts, Rollouts, Sequences, Tokens, per_token
from estimators.policy.scales import SCALE_PARTS, WHITENINGS
from estimators.policy.sets import SET_PARTS
from estimators.tools.calls import as_real

CRITIC = "critic"
KL_PLACES = ("reward", "loss", "loss_times_ratio", "loss_and_later_reward")
CHOICES: dict[str, Collection[str]] = {
    "returns": RETURN_PARTS,
    "baseline": (*BASELINE_PARTS, CRITIC),
    "scale": SCALE_PARTS,
    "ratio": RATIO_PARTS,
    "limit": LIMIT_PARTS,
    "correction": CORRECTION_PARTS,
    "correction_rule": CORRECTION_RULES,
    "aggregate": AGGREGATE_PARTS,
    "filter": FILTER_PARTS,
    "kl": ("none", *KL_FORMS, "full"),
    "kl_level": ("token", "sequence"),
    "kl_place": KL_PLACES,
    "kl_policy": ("current", "proximal"),
    "set": ("none", *SET_PARTS),
}
"""What each part may be."""


@dataclass(frozen=True, kw_only=True)
class PolicyLoss:
    """A loss whose negative gradient is ĝ = Σ_{b,k,t} C_{b,k,t} ∇θ log π(y_t | y_<t, x_b), with C constant.

    With its defaults it is REINFORCE: the mean over rollouts of R × the sum of a rollout's scores. All parts are tensor
    operations on `[*replicates, B, K, T]`; replicates share nothing.

    Args:
        returns: what a token is credited with: "whole" (all rewards of its rollout), "to_go", or "reweighted_to_go"
            (off-policy, with ratio "prefix").
        baseline: "none", "leave_one_out", "group_mean", "batch_mean", "batch_token_mean", "greedy", or "critic"
            (GAE, whose returns are to go).
        gamma: discount of returns to go and of the critic's.
        lam: λ of GAE.
        horizon: n of the n-step advantage of the critic. Default: 0, no limit.
        scale: "none", "group", "batch" (deviation over rollouts), "whitening" or "floored_whitening" (mean and
            deviation over tokens).
        scale_epsilon: ε, added to a deviation or to the variance of a whitening; the least variance of a floored one.
        bessel: whether a variance of n numbers divides by n − 1.
        ratio: π/π_prox: "none", "token", "prefix", "sequence", "geometric" or "geometric_differentiated" (its gradient
            at each token is that of all tokens).
        limit: of that ratio: "none", "clip", "dual_clip" or "detached".
        low, high: its bounds, of the ratio itself (0.8 and 1.2 for ε = 0.2).
        dual: factor of dual clip.
        correction: π_prox/μ, detached: "none", "token" or "sequence".
        correction_rule: "truncate" or "mask" outside `correction_low` … `correction_high`.
        aggregate: "token_sum", "padded_mean", "sequence_mean", "group_token_mean" or "batch_token_mean".
        divisor: a constant by which the loss is divided.
        filter: "keep", "drop" (groups of equal rewards) or "refill" (the first `batch_size` groups that differ).
        batch_size: number of groups of "refill".
        beta: β of the KL term.
        kl: "none", "k1", "k2", "k3" or "full" (whole vocabulary).
        kl_level: of which d = log π/π_ref: "token" or "sequence".
        kl_place: "reward" (credited as `returns` says: all of it, or to go), "loss" (its own derivative alone),
            "loss_times_ratio" (times a differentiated π/π_prox), "loss_and_later_reward" (in the loss, and k1 of
            strictly later tokens in the reward).
        kl_policy: whose d is in the reward: "current" or "proximal".
        kl_after: subtract the reward's KL after the baseline and a deviation of rewards, not before; a whitening comes
            last.
        set: "none", or pass@k and max@k: "plain", "leave_one_out" (against the other k − 1) or "leave_one_out_sets".
        k: size of these sets.

    Raises:
        BadInput: an unknown choice, a number out of its range, or parts that contradict each other.

    >>> log_probs = torch.full((1, 2, 3), -1.0, requires_grad=True)
    >>> rollouts = Rollouts(log_probs=log_probs, mask=torch.ones(1, 2, 3), rewards=torch.tensor([[1.0, 0.0]]))
    >>> PolicyLoss(baseline="leave_one_out")(rollouts).backward()
    >>> log_probs.grad[0, :, 0]
    tensor([-0.5000,  0.5000])
    """

    returns: str = "whole"
    baseline: str = "none"
    gamma: float = 1.0
    lam: float = 1.0
    horizon: int = 0
    scale: str = "none"
    scale_epsilon: float = 0.0
    bessel: bool = True
    ratio: str = "none"
    limit: str = "none"
    low: float = 0.8
    high: float = 1.2
    dual: float = 3.0
    correction: str = "none"
    correction_rule: str = "truncate"
    correction_low: float = 0.0
    correction_high: float = float("inf")
    aggregate: str = "token_sum"
    divisor: float = 1.0
    filter: str = "keep"
    batch_size: int = 1
    beta: float = 0.0
    kl: str = "none"
    kl_level: str = "token"
    kl_place: str = "reward"
    kl_policy: str = "current"
    kl_after: bool = False
    set: str = "none"
    k: int = 1

    def __post_init__(self) -> None:
        for part, choices in CHOICES.items():
            if getattr(self, part) not in choices:
                raise BadInput(
                    f"policy loss: {part} has no {getattr(self, part)!r}; {nearest(str(getattr(self, part)), choices)}"
                )
        for wrong, sentence in _contradictions(self):
            if wrong:
                raise BadInput(f"policy loss: {sentence}")

    def __call__(self, rollouts: Rollouts) -> Tensor:
        """Returns the loss to minimise, `[*replicates]`, the mean over prompts; a scalar without replicates."""
        return -self.objective(rollouts).mean(-1)

    def objective(self, rollouts: Rollouts) -> Prompts:
        """Returns each prompt's part of what is maximised, `[*replicates, B]`; their mean is that of the batch."""
        kept = FILTER_PARTS[self.filter](rollouts.total_rewards, self.batch_size)
        gain = self.gains(rollouts) * self.corrections(rollouts)
        if not (self._penalises and self.kl_place.startswith("loss")):
            return self._aggregated(gain, rollouts, kept)
        penalty = self.beta * self.kl_loss(rollouts)
        if self.kl_level == "token":
            return self._aggregated(gain - penalty, rollouts, kept)
        return self._aggregated(gain, rollouts, kept) - penalty.mean(-1) * kept

    def gains(self, rollouts: Rollouts) -> Tokens:
        """Returns each token's gain, differentiable: its limited ratio times its advantage."""
        advantage = self.token_advantages(rollouts)
        bounds = Bounds(self.low, self.high, self.dual)
        return LIMIT_PARTS[self.limit](self.ratios(rollouts), advantage, rollouts.log_probs, bounds)

    def ratios(self, rollouts: Rollouts) -> Tokens:
        """Returns π/π_prox at each token, with the gradient of that token's log-probability unless differentiated."""
        if self.ratio in DIFFERENTIATED:
            return below_overflow(RATIO_PARTS[self.ratio](rollouts.log_probs - rollouts.old, rollouts.mask)).exp()
        log_weight = RATIO_PARTS[self.ratio](rollouts.log_probs.detach() - rollouts.old, rollouts.mask)
        return through_own_token(log_weight, rollouts.log_probs)

    def corrections(self, rollouts: Rollouts) -> Tokens:
        """Returns the detached weight of each token, from π_prox/μ."""
        log_weight = CORRECTION_PARTS[self.correction](rollouts.old - rollouts.drawn_by, rollouts.mask)
        rule = CORRECTION_RULES[self.correction_rule]
        return rule(below_overflow(log_weight).exp(), self.correction_low, self.correction_high)

    def kl_loss(self, rollouts: Rollouts) -> Tensor:
        """Returns the KL term of the loss without β, differentiable, of each token or of each sequence."""
        term = distance(rollouts, rollouts.log_probs, self.kl, self.kl_level)
        if self.kl_place == "loss_times_ratio":
            term = term * differentiated(rollouts, self.ratio, self.kl_level)
        return term

    def token_advantages(self, rollouts: Rollouts) -> Tokens:
        """Returns the advantage of each token, detached: the return less the baseline, scaled, with the reward's KL."""
        c, penalty, mask = rewards_at_tokens(rollouts), self._penalties(rollouts), rollouts.mask
        if not self.kl_after:
            c = c - penalty
        total = c.sum(-1) + rollouts.rewards_without_tokens
        advantage = self._less_baseline(c, total, rollouts)
        if self.scale not in WHITENINGS:
            advantage = SCALE_PARTS[self.scale](advantage, total, mask, self.scale_epsilon, self.bessel)
        if self.kl_after:
            advantage = advantage - self._returned(penalty, rollouts)
        if self._penalises and self.kl_place == "loss_and_later_reward":
            advantage = advantage - self.beta * later_distance(rollouts)
        if self.scale in WHITENINGS:
            advantage = SCALE_PARTS[self.scale](advantage, total, mask, self.scale_epsilon, self.bessel)
        return advantage * mask

    def advantages(self, rewards: Shaped[Tensor, "*replicates B K"]) -> Sequences:
        """Returns the advantage of each rollout `[*replicates, B, K]` from the rewards alone, numbers or booleans.

        Raises:
            BadInput: the parts need more than rewards: `token_advantages(rollouts)` takes them.
        """
        needs_tokens = {
            "baseline": self.baseline in ("batch_token_mean", "greedy", CRITIC),
            "scale": self.scale in WHITENINGS,
            "kl_place": self._penalises and self.kl_place in ("reward", "loss_and_later_reward"),
        }
        for part, needs in needs_tokens.items():
            if needs:
                raise BadInput(
                    f"advantages(rewards): {part} {getattr(self, part)!r} needs more than rewards; use "
                    "token_advantages(rollouts)"
                )
        rewards = as_real(rewards, torch.get_default_dtype())
        one = torch.zeros_like(rewards).unsqueeze(-1)
        return self.token_advantages(Rollouts(log_probs=one, mask=one + 1, rewards=rewards)).squeeze(-1)

    def coefficients(self, rollouts: Rollouts) -> Tokens:
        """Returns C, `[*replicates, B, K, T]`: the mean over prompts of the objective has the gradient Σ C s_t.

        The gradient through `next_log_probs`, of kl "full" in the loss, is not among them.
        """
        log_probs = rollouts.log_probs.detach()
        return -torch.func.grad(lambda x: self(replace(rollouts, log_probs=x, proximal=rollouts.old)).sum())(log_probs)

    @property
    def _penalises(self) -> bool:
        return self.kl != "none" and self.beta != 0

    def _aggregated(self, x: Tokens, rollouts: Rollouts, kept: Prompts) -> Prompts:
        return AGGREGATE_PARTS[self.aggregate](x, rollouts.mask, kept, self.divisor)

    def _returned(self, c: Tokens, rollouts: Rollouts) -> Tokens:
        log_ratio = rollouts.log_probs.detach() - rollouts.old
        return RETURN_PARTS[self.returns](c, rollouts.mask, log_ratio, self.gamma)

    def _less_baseline(self, c: Tokens, total: Sequences, rollouts: Rollouts) -> Tokens:
        """Returns the returns less the baseline, the critic's advantages, or the weights of an objective of sets."""
        if self.baseline == CRITIC:
            values = rollouts.required("values", "baseline 'critic'")
            return critic_advantages(c, rollouts.mask, values, self.gamma, lam=self.lam, horizon=self.horizon)
        at_tokens = self._returned(c, rollouts)
        if self.set != "none":
            return per_token(SET_PARTS[self.set](total, self.k) * total.shape[-1], c)
        return at_tokens - BASELINE_PARTS[self.baseline](total, at_tokens, rollouts).unsqueeze(-1)

    def _penalties(self, rollouts: Rollouts) -> Tokens:
        """Returns β × the KL estimate as a cost at each token, detached; 0 unless it is in the reward."""
        if not self._penalises or self.kl_place != "reward":
            return torch.zeros_like(rollouts.mask)
        log_probs = rollouts.log_probs if self.kl_policy == "current" else rollouts.old
        found = self.beta * distance(rollouts, log_probs, self.kl, self.kl_level).detach()
        return found if self.kl_level == "token" else at_last_token(found, rollouts.mask)


def _contradictions(loss: PolicyLoss) -> list[tuple[bool, str]]:
    """Returns whether numbers and parts are wrong together, each with a sentence."""
    critic, sets = loss.baseline == CRITIC, loss.set != "none"
    return [
        (not 0 < loss.gamma <= 1, f"gamma must be in (0, 1], found {loss.gamma}"),
        (not 0 <= loss.lam <= 1, f"lam must be in [0, 1], found {loss.lam}"),
        (loss.horizon < 0, f"horizon must be 0 (no limit) or more, found {loss.horizon}"),
        (not critic and (loss.lam != 1 or loss.horizon != 0), "lam and horizon need baseline 'critic'"),
        (
            not critic and loss.gamma != 1 and loss.returns == "whole",
            "gamma needs returns 'to_go' or baseline 'critic'",
        ),
        (loss.scale_epsilon < 0, f"scale_epsilon must be 0 or more, found {loss.scale_epsilon}"),
        (not loss.low <= loss.high, f"low must be at most high, found {loss.low} and {loss.high}"),
        (loss.dual <= 1, f"dual must be above 1, found {loss.dual}"),
        (
            not loss.correction_low <= loss.correction_high,
            f"correction_low must be at most correction_high, found {loss.correction_low} and {loss.correction_high}",
        ),
        (not loss.divisor > 0, f"divisor must be positive, found {loss.divisor}"),
        (loss.batch_size < 1, f"batch_size must be at least 1, found {loss.batch_size}"),
        (
            loss.returns == "reweighted_to_go" and loss.ratio != "prefix",
            "returns 'reweighted_to_go' needs ratio 'prefix'",
        ),
        (loss.kl == "none" and loss.beta != 0, "beta needs a kl, such as kl='k1'"),
        (loss.kl == "full" and loss.kl_level == "sequence", "kl 'full' has kl_level 'token'"),
        (loss.kl_policy == "proximal" and loss.kl_place != "reward", "kl_policy 'proximal' needs kl_place 'reward'"),
        (loss.kl_after and loss.kl_place != "reward", "kl_after needs kl_place 'reward'"),
        (
            loss.kl_place == "loss_and_later_reward" and loss.kl_level == "sequence",
            "kl_place 'loss_and_later_reward' has kl_level 'token'",
        ),
        (
            sets and (loss.baseline, loss.scale) != ("none", "none"),
            "a set has a baseline of its own: baseline and scale 'none'",
        ),
        (not sets and loss.k != 1, "k needs a set, such as set='plain'"),
        (loss.k < 1, f"k must be at least 1, found {loss.k}"),
    ]
