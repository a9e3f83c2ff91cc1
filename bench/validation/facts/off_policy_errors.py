"""Exact mean squared errors of off-policy losses from single rollouts, by enumeration, with a known baseline."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions import distributions
from bench.distributions.prefix_policy import LanguagePolicy, PrefixPolicy
from bench.distributions.prefix_tree import sequence_log_probs, sequences
from bench.problems.problem import Problem
from bench.problems.rollout_moments import score_table
from bench.validation.facts.all_rollouts import policy_of, rewarded, target_gradient
from estimators.policy import PolicyLoss, Rollouts, preset

OFF_POLICY = {
    "no correction": PolicyLoss(),
    "token ratio": PolicyLoss(ratio="token"),
    "prefix ratio": PolicyLoss(ratio="prefix"),
    "sequence ratio": PolicyLoss(ratio="sequence"),
    "TIS": PolicyLoss(correction="token", correction_high=2.0),
    "MIS": PolicyLoss(correction="sequence", correction_rule="mask", correction_low=0.5, correction_high=2.0),
    "CISPO": PolicyLoss(ratio="token", limit="detached", low=0.8, high=1.2),
    "PPO-clip": PolicyLoss(ratio="token", limit="clip", low=0.8, high=1.2),
    "GSPO": PolicyLoss(ratio="geometric", limit="clip", low=1 - 3e-4, high=1 + 4e-4, aggregate="sequence_mean"),
}
"""Losses that are compared off-policy. TIS truncates token ratios at 2, MIS drops answers whose ratio is outside
0.5 … 2; both correct from the behaviour to the current policy. GSPO has its published bounds and 1/L, which is
multiplied by the mean length, so that its scale is that of the others."""

CURRENT = ("TIS", "MIS")
"""Losses whose proximal policy is the current one; the others' is the behaviour."""


@dataclass(frozen=True)
class ExactErrors:
    """A loss's exact mean and variance from one rollout beside the exact gradient, summed over θ."""

    mean: Float[Tensor, " P"]
    variance: float
    target: Float[Tensor, " P"]

    def error(self, n: int) -> float:
        """The mean squared error of the mean of n rollouts, relative to the squared length of the gradient."""
        bias = float((self.mean - self.target).square().sum())
        return (bias + self.variance / n) / float(self.target.square().sum())

    def scaled_error(self, n: int) -> float:
        """The same at the best constant in front of the estimate, which an optimiser's step size is: at most 1."""
        part = float(self.mean @ self.target)
        size = float(self.mean.square().sum()) + self.variance / n
        return 1.0 if part <= 0 or size == 0 else 1 - part**2 / (size * float(self.target.square().sum()))


@dataclass(frozen=True, eq=False)
class AllAnswers:
    """All answers to one prompt of a policy with a behaviour, as rollouts; the baseline is E_μ R."""

    family: LanguagePolicy

    @cached_property
    def problem(self) -> Problem:
        """E R, less the baseline."""
        q = policy_of(rewarded(self.family, self.family.right()))
        mu = q if q.behaviour is None else q.behaviour
        baseline = (mu.sequence_log_probs().exp() * self.family.right()).sum(-1, keepdim=True).detach()
        return rewarded(self.family, self.family.right() - baseline)

    @cached_property
    def q(self) -> PrefixPolicy:
        """The policy."""
        return policy_of(self.problem)

    @cached_property
    def mu(self) -> PrefixPolicy:
        """The behaviour."""
        return self.q if self.q.behaviour is None else self.q.behaviour

    @property
    def distance(self) -> float:
        """KL(μ‖π) of an answer, in nats."""
        law = self.mu.sequence_log_probs()
        return float((law.exp() * (law - self.q.sequence_log_probs())).sum())

    @cached_property
    def target(self) -> Float[Tensor, " P"]:
        """The exact gradient."""
        return target_gradient(self.problem)

    @cached_property
    def law(self) -> Float[Tensor, " S"]:
        """The behaviour's probability of every answer."""
        return sequence_log_probs(self.mu.logits.log_softmax(-1), self.family.size)[0].exp()

    @cached_property
    def length(self) -> float:
        """E_μ L."""
        return float(self.law @ self.mask.sum(-1)[:, 0, 0])

    @cached_property
    def answers(self) -> Tensor:
        """All answers, `[S, 1, T, V]`."""
        return sequences(self.family.size, self.family.vocabulary, self.q.logits).unsqueeze(1)

    @cached_property
    def mask(self) -> Tensor:
        """1 up to and with the end token, `[S, 1, 1, T]`."""
        return self.q.mask(self.answers).unsqueeze(1)

    def rollouts(self, *, current: bool) -> Rollouts:
        """Returns the answers as rollouts; `current`: whether the proximal policy is the current one."""
        ours, theirs = (each.log_prob_steps(self.answers).unsqueeze(1).detach() for each in (self.q, self.mu))
        table: Any = self.problem.function(self.q.logits)
        rewards = table.table[0].reshape(-1, 1, 1)
        proximal = ours if current else theirs
        return Rollouts(log_probs=ours, mask=self.mask, rewards=rewards, behaviour=theirs, proximal=proximal)

    def each(self, loss: PolicyLoss, *, current: bool = False) -> Float[Tensor, "S P"]:
        """Returns the estimate from each answer."""
        C = loss.coefficients(self.rollouts(current=current))[:, 0, 0]
        family: Any = self.family
        return torch.einsum("st,stp->sp", C, step_scores(family.size, family.vocabulary, family.law, family.stage))

    def exact(self, loss: PolicyLoss, *, current: bool = False) -> ExactErrors:
        """Returns the exact errors of a loss; 1/L is multiplied by the mean length."""
        each = self.each(loss, current=current) * (self.length if loss.aggregate == "sequence_mean" else 1)
        mean = self.law @ each
        return ExactErrors(mean, float(self.law @ (each - mean).square().sum(-1)), self.target)


@lru_cache(maxsize=8)
def step_scores(size: int, vocabulary: int, law: str, stage: str) -> Float[Tensor, "S T P"]:
    """Returns ∇θ log π of every token of every answer to the one prompt of a transformer policy."""
    settings = {"size": size, "vocabulary": vocabulary, "law": law, "stage": stage, "prompts": 1}
    family: Any = distributions.get("transformer_policy", **settings)
    problem = rewarded(family, family.right())
    q = policy_of(problem)
    z = sequences(size, vocabulary, q.logits)
    return score_table(problem, q)[0][q.prefix(z.unsqueeze(1))[:, 0], z.argmax(-1)] * q.mask(z.unsqueeze(1))[
        :, 0
    ].unsqueeze(-1)


def at_distance(distance: float, knob: str = "logit_noise", **settings: Any) -> AllAnswers:
    """Returns the policy whose behaviour has this KL(μ‖π), to 2 %, by its logit noise or learning rate.

    >>> round(at_distance(0.01, size=3, vocabulary=3, prompts=1).distance, 3)
    0.01
    """
    value = 0.3
    for _ in range(12):
        family = distributions.get("transformer_policy", **(settings | {knob: value}))
        found = AllAnswers(family)  # pyright: ignore[reportArgumentType]
        if abs(found.distance / distance - 1) < 0.02:
            return found
        value *= (distance / found.distance) ** 0.45
    return found


def published(name: str, **changes: Any) -> PolicyLoss:
    """Returns a preset's ratio, limit and aggregate alone: a known advantage, no KL term, no filter.

    >>> published("trl:cispo").high
    0.2
    """
    parts = preset(name)
    kept = {part: getattr(parts, part) for part in ("ratio", "limit", "low", "high", "dual", "aggregate")}
    return PolicyLoss(**(kept | changes))
