"""A loss over rollouts as an estimator of the suite."""

import re
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import inf

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, Terms
from estimators.errors import BadInput
from estimators.policy.critics import Critic
from estimators.policy.loss import CRITIC, PolicyLoss
from estimators.policy.presets import PRESETS, preset
from estimators.policy.sequence import (
    Grouped,
    Regularised,
    drawn_from,
    policy_beside,
    rewards_of_steps,
    rollouts_of,
    steps_of,
)
from estimators.policy.sets import SET_PARTS
from estimators.policy.state_values import state_values
from estimators.registry import register
from estimators.tools.parameters import base, valued
from estimators.traits import Need, Traits

STATE_VALUES = Need(
    "STATE_VALUES",
    "exact values of states: an objective with state_values(z, q), the expected rewards from each token on",
    met=lambda offer: state_values.offered(offer.q, offer.f),
)
REFERENCE_POLICY = Need(
    "REFERENCE_POLICY",
    "a policy with a reference, and a regularised reward (estimators.policy.Regularised)",
    met=lambda offer: isinstance(offer.f, Regularised) and policy_beside(offer.q, "reference") is not None,
)
BEST_OF_DRAWS = Need(
    "BEST_OF_DRAWS",
    "the largest reward of several draws: an objective with rewards(z, q), draws, and weights of 0 but for the last, 1",
    met=lambda offer: is_best_of(offer.f),
)
PROXIMAL_IS_BEHAVIOUR = Need(
    "PROXIMAL_IS_BEHAVIOUR",
    "a policy whose rollouts are drawn by its proximal policy; with correction='sequence' the loss is exact for others",
    met=lambda offer: getattr(base(offer.q), "proximal", None) is None,
)
ADDED = {"later": True}
EXACT_RETURNS = {("sequence", "whole"), ("sequence", "to_go"), ("prefix", "reweighted_to_go")}
"""Ratios, and what a token is credited with, that are exact off-policy too."""
EXACT_KL = {("k1", "token", "reward"), ("k1", "sequence", "reward")} | {
    (form, "sequence", "loss_times_ratio") for form in ("k1", "k3")
}
"""KL terms, their level and place, that are exact off-policy too, given an exact ratio."""


@register("policy_loss")
@dataclass(frozen=True)
class PolicyGradient(Estimator):
    """A loss over rollouts: n draws of q's behaviour for each prompt, composed as `estimators.policy.PolicyLoss`.

    f is the reward, which is maximised. q may be any distribution: with `log_prob_steps` it is a sequence of tokens
    (`estimators.policy.SequencePolicy`), else of one. A part that is None is the preset's. With a `Regularised` reward
    and a KL term in the loss, β is the reward's; with a set, k is that of f. n counts rollouts of each prompt.
    Source: Precup, Sutton, Singh 2000, ICML 2000 (the default); `estimators.policy.PRESETS` names each preset's.

    Args:
        preset: a name of `estimators.policy.PRESETS`.
        critic_error: what is added to the exact values of a critic, at every state.
        critic_state_error: the standard deviation over states of an error of these values that is fixed for each state.

    Raises:
        BadInput: no such preset, or parts that contradict each other.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logits = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> PolicyGradient().surrogate(Bernoulli(logits=logits), Function(lambda z: z), 100_000).backward()
    >>> abs(logits.grad.item() - 0.25) < 0.01
    True
    """

    preset: str = "importance_sampling"
    critic_error: float = field(default=0.0, metadata=ADDED)
    critic_state_error: float = field(default=0.0, metadata=ADDED)
    returns: str | None = field(default=None, metadata=ADDED)
    baseline: str | None = field(default=None, metadata=ADDED)
    gamma: float | None = field(default=None, metadata=ADDED)
    lam: float | None = field(default=None, metadata=ADDED)
    horizon: int | None = field(default=None, metadata=ADDED)
    scale: str | None = field(default=None, metadata=ADDED)
    scale_epsilon: float | None = field(default=None, metadata=ADDED)
    bessel: bool | None = field(default=None, metadata=ADDED)
    ratio: str | None = field(default=None, metadata=ADDED)
    limit: str | None = field(default=None, metadata=ADDED)
    low: float | None = field(default=None, metadata=ADDED)
    high: float | None = field(default=None, metadata=ADDED)
    dual: float | None = field(default=None, metadata=ADDED)
    correction: str | None = field(default=None, metadata=ADDED)
    correction_rule: str | None = field(default=None, metadata=ADDED)
    correction_low: float | None = field(default=None, metadata=ADDED)
    correction_high: float | None = field(default=None, metadata=ADDED)
    aggregate: str | None = field(default=None, metadata=ADDED)
    divisor: float | None = field(default=None, metadata=ADDED)
    filter: str | None = field(default=None, metadata=ADDED)
    batch_size: int | None = field(default=None, metadata=ADDED)
    beta: float | None = field(default=None, metadata=ADDED)
    kl: str | None = field(default=None, metadata=ADDED)
    kl_level: str | None = field(default=None, metadata=ADDED)
    kl_place: str | None = field(default=None, metadata=ADDED)
    kl_policy: str | None = field(default=None, metadata=ADDED)
    kl_after: bool | None = field(default=None, metadata=ADDED)
    set: str | None = field(default=None, metadata=ADDED)
    k: int | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        _ = self.loss
        if not self.critic_state_error >= 0:
            raise BadInput(f"policy_loss: critic_state_error must be 0 or more, found {self.critic_state_error}")

    @property
    def critic(self) -> Critic | None:
        """The critic of the composed loss; None without one."""
        return Critic(self.critic_error, self.critic_state_error) if self.loss.baseline == CRITIC else None

    @cached_property
    def loss(self) -> PolicyLoss:
        """The loss: the preset with the parts that are not None."""
        given = {each.name: getattr(self, each.name) for each in fields(PolicyLoss)}
        return preset(self.preset, **{name: value for name, value in given.items() if value is not None})

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits of the composed loss."""
        loss = self.loss
        needs = {Need.DENSITY}
        alone = loss.baseline in ("none", "greedy", CRITIC) and loss.scale == "none" and loss.set == "none"
        needs |= {Need.MODE} if loss.baseline == "greedy" else set()
        needs |= {STATE_VALUES} if loss.baseline == CRITIC else set()
        needs |= {BEST_OF_DRAWS, Need.SETS} if loss.set != "none" else set()
        needs |= set() if alone else {Need.INDEPENDENT_DRAWS}
        needs |= {REFERENCE_POLICY} if loss.kl != "none" and loss.beta != 0 else set()
        exact = exact_in_mean(loss, self.critic)
        needs |= {PROXIMAL_IS_BEHAVIOUR} if exact and loss.ratio != "none" and loss.correction == "none" else set()
        return Traits(
            unbiased=exact,
            needs=frozenset(needs),
            min_samples=1 if alone else max(2, loss.k + (loss.set == "leave_one_out_sets")),
            valued=loss.set == "none",
            paper=cited(PRESETS[self.preset].source),
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = drawn_from(q, n)
        loss, value, reward = self.read(q, f, z)
        rollouts = rollouts_of(
            q,
            f.reward if loss.kl != "none" and isinstance(f, Regularised) else f,
            z,
            reward.detach(),
            greedy=loss.baseline == "greedy",
            critic=self.critic,
            vocabulary=loss.kl == "full",
        )
        gain = Grouped(q, z).batch(loss.objective(rollouts))
        log_weight = (steps_of(q, z) - steps_of(policy_beside(q, "behaviour"), z)).detach().sum(-1)
        return valued((log_weight.exp() * value).mean(0), gain)

    def read(self, q: Distribution, f: Objective, z: Tensor) -> tuple[PolicyLoss, Tensor, Tensor]:
        """Returns the loss at f's β, f's value, and the rewards of draws or steps that the loss takes."""
        if isinstance(f, Regularised) and self.loss.kl != "none":
            return replace(self.loss, beta=f.beta), f.held(z, q), f.rewards(z, q)
        if self.loss.set != "none":
            reward = f.rewards(z, q)  # type: ignore[attr-defined]
            return replace(self.loss, k=f.draws), reward, reward  # type: ignore[attr-defined]
        if isinstance(f, Terms):
            each = f.each_held(z, q) if hasattr(f, "each_held") else f.each(z, q)  # type: ignore[attr-defined]
            T = steps_of(q, z).shape[-1]
            return self.loss, each.sum(-1), rewards_of_steps(f, q, each, T) if T > 1 else each.sum(-1)
        value = f.held(z, q)
        return self.loss, value, value


def is_best_of(f: object) -> bool:
    """Returns whether f is the largest reward of `draws` draws (pass@k for rewards 0 and 1)."""
    draws, weights = getattr(f, "draws", 0), getattr(f, "weights", ())
    return hasattr(f, "rewards") and draws > 0 and [*weights] == [0.0] * (draws - 1) + [1.0]


def cited(source: str) -> str:
    """Returns a source's authors and year, or a framework and its version.

    >>> cited("Precup, Sutton, Singh 2000, ICML 2000"), cited("TRL 1.16.0, GRPOTrainer")
    ('Precup, Sutton, Singh 2000', 'TRL 1.16.0')
    """
    found = re.match(r"[^:]*? (19|20)\d\d(?=,)|[^,]*", source)
    return found[0] if found else source


def exact_in_mean(loss: PolicyLoss, critic: Critic | None = None) -> bool:
    """Returns whether the mean of the estimate is the exact gradient, off-policy too, whatever the policies are.

    Without a correction, the proximal policy must be the behaviour; π_prox/μ of whole sequences makes up for others.
    """
    whole = loss.correction == "sequence" and loss.correction_low <= 0 and loss.correction_high == inf
    plain = (loss.scale, loss.limit, loss.filter) == ("none", "none", "keep") and (whole or loss.correction == "none")
    summed = loss.aggregate == "token_sum" and loss.divisor == 1
    penalty = loss.kl == "none" or ((loss.kl, loss.kl_level, loss.kl_place) in EXACT_KL and loss.kl_policy == "current")
    if loss.set in SET_PARTS or loss.gamma != 1 or not (plain and summed and penalty):
        return False
    if loss.baseline == CRITIC:
        far = loss.lam == 1 and loss.horizon == 0
        return loss.ratio == "sequence" and (far or critic in (None, Critic()))
    return loss.baseline in ("none", "leave_one_out", "greedy") and (loss.ratio, loss.returns) in EXACT_RETURNS
