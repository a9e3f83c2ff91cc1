"""Exact mean and variance of a loss's gradient from one rollout of each prompt, by enumeration under the behaviour."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.prefix_policy import LanguagePolicy, PrefixPolicy
from bench.distributions.prefix_tree import sequence_log_probs, sequences
from bench.problems.problem import Problem
from estimators.errors import BadInput
from estimators.policy import PolicyGradient
from estimators.policy.sequence import rollouts_of

MOST_NUMBERS = 5 * 10**7
"""Largest number of prefixes × tokens × parameters whose Jacobian is stored."""


@dataclass(frozen=True)
class RolloutMoments:
    """`mean` and `variance` of the estimate of each parameter, `[P]`, in the order of θ's blocks."""

    mean: Float[Tensor, " P"]
    variance: Float[Tensor, " P"]


def rollout_moments(problem: Problem, estimator: PolicyGradient) -> RolloutMoments:
    """Returns the exact moments of an estimate from n = 1: one rollout of the behaviour policy for each prompt.

    Each rollout's part of the estimate, Σ_t C_t s_t, is computed for every answer and weighed by its probability under
    the behaviour policy. Prompts are independent, so the variance of their mean is the sum of their variances over B².

    Args:
        problem: rewards of a language-model policy.
        estimator: a loss whose coefficients depend on one rollout alone.

    Raises:
        BadInput: the loss takes more than one rollout or all next tokens; or the Jacobian is too large.

    >>> from bench.distributions import distributions
    >>> from bench.objectives import objectives
    >>> problem = Problem(distributions.get("prefix_policy", size=3), objectives.get("right_answers"))
    >>> rollout_moments(problem, PolicyGradient(preset="reinforce")).mean.shape
    torch.Size([104])
    """
    family, loss = problem.family, estimator.loss
    if not isinstance(family, LanguagePolicy):
        raise BadInput(f"rollout_moments takes a language-model policy such as prefix_policy, not {family.name}")
    if estimator.traits.min_samples > 1 or loss.baseline not in ("none", "greedy", "critic"):
        raise BadInput("rollout_moments takes losses of one rollout: baseline 'none', 'greedy' or 'critic'")
    if loss.kl == "full" and loss.kl_place.startswith("loss"):
        raise BadInput("rollout_moments takes no whole-vocabulary KL in the loss: its gradient is not that of tokens")
    parameters = problem.encode(problem.theta())
    q = problem.build(parameters)
    assert isinstance(q, PrefixPolicy)
    unmet = problem.offer(parameters, problem.function(q.logits)).unmet(estimator, 1)
    if unmet:
        raise BadInput(f"rollout_moments: {unmet}")
    each = answer_estimates(problem, estimator, q)  # [B, S, P]
    drawn_by = q if q.behaviour is None else q.behaviour
    law = sequence_log_probs(drawn_by.logits.log_softmax(-1), family.size).exp().unsqueeze(-1)
    each = torch.where(law > 0, each, 0)
    mean = (law * each).sum(1)
    variance = (law * (each - mean.unsqueeze(1)).square()).sum(1)
    return RolloutMoments(mean.mean(0), variance.sum(0) / len(mean) ** 2)


def answer_estimates(problem: Problem, estimator: PolicyGradient, q: PrefixPolicy) -> Float[Tensor, "B S P"]:
    """Returns each answer's part of the estimate, for every prompt."""
    T, V = q.event_shape
    B = q.batch_shape[0]
    table = sequences(T, V, q.logits).unsqueeze(1).expand(-1, B, -1, -1)  # [S, B, T, V]: one replicate per answer
    wide = type(q)(
        q.logits.expand(len(table), *q.logits.shape),
        None if q.behaviour is None else q.behaviour.logits,
        None if q.reference is None else q.reference.logits,
        prompt_axes=1,
        proximal_logits=q.proximal_logits,
    )
    f, z = problem.function(q.logits), table.unsqueeze(0)
    loss, _, reward = estimator.read(wide, f, z)
    rewards = f.reward if loss.kl != "none" and hasattr(f, "reward") else f  # type: ignore[attr-defined]
    rollouts = rollouts_of(wide, rewards, z, reward, greedy=loss.baseline == "greedy", critic=estimator.critic)
    # the loss is a mean over prompts: B times its coefficients are those of each prompt's own loss
    C = B * loss.coefficients(rollouts).squeeze(-2)  # [S, B, T]
    s = score_table(problem, q)  # [B, prefixes, V, P]
    if len(table) * B * s.shape[-1] > MOST_NUMBERS:
        raise BadInput(f"{len(table)} answers × {B} prompts × {s.shape[-1]} parameters are too many to enumerate")
    row, token = q.prefix(table), table.argmax(-1)
    prompt = torch.arange(B).unsqueeze(-1)
    C = torch.where(q.mask(table) > 0, C, 0)
    found = sum(
        C[..., t, None] * s[prompt[:, 0], row[..., t], token[..., t]].nan_to_num(0.0, 0.0, 0.0) for t in range(T)
    )
    assert isinstance(found, Tensor)
    return found.movedim(0, 1)


def score_table(problem: Problem, q: PrefixPolicy) -> Float[Tensor, "B prefixes V P"]:
    """Returns ∇θ log π of every next token after every prefix, as the trainer has it."""
    if q.logits.numel() * problem.dim > MOST_NUMBERS:
        raise BadInput(
            f"{q.logits.shape[0] * q.logits.shape[1]} prefixes × {q.logits.shape[2]} tokens × {problem.dim} parameters "
            f"are more than {MOST_NUMBERS:,}"
        )

    def logits(theta: dict[str, Tensor]) -> Tensor:
        return problem.encode(theta)["logits"]

    parts = torch.func.jacrev(logits)(problem.theta())
    jacobian = torch.cat([part.flatten(q.logits.dim()) for part in parts.values()], -1)  # [B, prefixes, V, P]
    kept = q.logits if q.dropped is None else q.logits.masked_fill(q.dropped, -torch.inf)
    return jacobian - (kept.softmax(-1).unsqueeze(-1) * jacobian).sum(-2, keepdim=True)
