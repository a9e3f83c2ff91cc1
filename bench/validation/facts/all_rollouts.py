"""Losses over rollouts by enumeration: all tuples of K answers to each prompt, with their probabilities.

The mean of an estimate is a finite sum, through the estimator's own code: it is exact to rounding, for group losses
too. A policy of two tokens and an end token, and of at most three tokens in all, has 15 answers to each prompt.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.distributions import distributions
from bench.distributions.prefix_policy import LanguagePolicy, PrefixPolicy
from bench.distributions.prefix_tree import content_lengths, sequence_log_probs, sequences
from bench.objectives import objectives
from bench.objectives.right_answers import TableReward
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.rollout_moments import score_table
from bench.problems.theta import as_vector
from bench.validation.facts.ad_hoc_problem import PosedTarget
from estimators.core import Objective
from estimators.policy import PolicyGradient, PolicyLoss, Regularised, Rollouts
from estimators.policy.sequence import rollouts_of

SMALL_SETTINGS = {"size": 3, "vocabulary": 3, "prompts": 2}
"""Settings of the policy that most facts enumerate: 15 answers to each of two prompts."""


def over_rollouts(**parts: Any) -> PolicyGradient:
    """Returns the estimator of a loss over rollouts: REINFORCE with these parts changed."""
    return PolicyGradient(preset="reinforce", **parts)


def small_policy(name: str = "prefix_policy", **settings: Any) -> LanguagePolicy:
    """Returns a policy that can be enumerated; `settings` change those of `SMALL_SETTINGS`."""
    return distributions.get(name, **(SMALL_SETTINGS | settings))  # pyright: ignore[reportReturnType]


def small_problem(name: str = "prefix_policy", **settings: Any) -> Problem:
    """Returns the success rate of such a policy as a problem."""
    return Problem(small_policy(name, **settings), objectives.get("right_answers"))


def rewarded(family: LanguagePolicy, rewards: Float[Tensor, "B S"]) -> Problem:
    """Returns the mean of a table of rewards as a problem."""
    return Problem(family, PosedTarget(f=TableReward(rewards)))


def penalised(family: LanguagePolicy, rewards: Float[Tensor, "B S"] | None = None, beta: float = 1.0) -> Problem:
    """Returns E R − β KL(π‖π_ref) as a problem; without rewards, −β KL alone."""
    table = torch.zeros_like(family.right()) if rewards is None else rewards
    return Problem(family, PosedTarget(f=Regularised(TableReward(table), beta)))


def policy_of(problem: Problem) -> PrefixPolicy:
    """Returns the policy at the problem's θ, with its behaviour and reference."""
    q = problem.build(problem.encode(problem.theta()))
    assert isinstance(q, PrefixPolicy)
    return q


def target_gradient(problem: Problem) -> Float[Tensor, " P"]:
    """Returns the exact gradient in all of θ."""
    found = reference(problem)
    assert found is not None
    return as_vector(found.gradient)


def gradient_of(problem: Problem, value: Any) -> Float[Tensor, " P"]:
    """Returns ∇θ of the mean over prompts of value(log π of all answers `[B, S]`)."""
    T = policy_of(problem).event_shape[0]

    def at(theta: dict[str, Tensor]) -> Tensor:
        return value(sequence_log_probs(problem.encode(theta)["logits"].log_softmax(-1), T)).mean()

    return as_vector(torch.func.grad(at)(problem.theta()))


def answer_lengths(problem: Problem) -> Float[Tensor, " S"]:
    """Returns the number of tokens of every answer, with the end token if it has one."""
    T, V = policy_of(problem).event_shape
    return (content_lengths(T, V) + 1).clamp_max(T).double()


def length_gradient(problem: Problem) -> Float[Tensor, " P"]:
    """Returns ∇θ E L, the mean over prompts."""
    return gradient_of(problem, lambda law: (law.exp() * answer_lengths(problem)).sum(-1))


def tuple_index(S: int, B: int, K: int, *, together: bool = False) -> Int[Tensor, "R B K"]:
    """Returns all K-tuples of answers by number: the same for each prompt, or all pairs of them `together`."""
    each = torch.cartesian_prod(*[torch.arange(S)] * (K * B if together else K)).reshape(-1, 1, K)
    return each.reshape(-1, B, K) if together else each.expand(-1, B, K)


def tuple_law(q: PrefixPolicy, index: Int[Tensor, "R B K"], *, together: bool = False) -> Float[Tensor, "R B"]:
    """Returns the probability of each tuple of a prompt's answers, or of all prompts' `together`."""
    drawn_by = q if q.behaviour is None else q.behaviour
    law = sequence_log_probs(drawn_by.logits.detach().log_softmax(-1), q.event_shape[0])
    each = law[torch.arange(len(law))[None, :, None], index].sum(-1)
    return (each.sum(-1, keepdim=True).expand_as(each) if together else each).exp()


def tuple_rollouts(
    problem: Problem, estimator: PolicyGradient, q: PrefixPolicy, index: Int[Tensor, "R B K"]
) -> tuple[PolicyLoss, Rollouts]:
    """Returns the estimator's loss, and tuples of answers as its rollouts, with the gradient in q's logits."""
    T, V = q.event_shape
    z = sequences(T, V, q.logits)[index].movedim(2, 0)  # [K, R, B, T, V]
    wide = type(q)(
        q.logits.expand(len(index), *q.logits.shape),
        None if q.behaviour is None else q.behaviour.logits,
        None if q.reference is None else q.reference.logits,
        prompt_axes=1,
        proximal_logits=q.proximal_logits,
    )
    f: Any = problem.function(q.logits.detach())
    loss, _, reward = estimator.read(wide, f, z)
    rewards: Objective = f.reward if loss.kl != "none" and isinstance(f, Regularised) else f
    greedy = loss.baseline == "greedy"
    return loss, rollouts_of(wide, rewards, z, reward.detach(), greedy=greedy, critic=estimator.critic)


def enumerated_mean(
    problem: Problem, estimator: PolicyGradient, K: int = 1, *, together: bool = False
) -> Float[Tensor, " P"]:
    """Returns the exact mean of the estimate from K rollouts of each prompt.

    `together`: sum over the pairs of all prompts' tuples, which a loss needs whose parts reach across prompts.
    """
    q = policy_of(problem)
    index = tuple_index(
        sequence_log_probs(q.logits, q.event_shape[0]).shape[-1], q.batch_shape[0], K, together=together
    )
    law = tuple_law(q, index, together=together)
    likely = torch.where((law > 0).unsqueeze(-1), index, index[law.argmax(0)[None], torch.arange(q.batch_shape[0])])

    def total(logits: Tensor) -> Tensor:
        behaviour, reference = (None if each is None else each.logits for each in (q.behaviour, q.reference))
        at = type(q)(logits, behaviour, reference, prompt_axes=1, proximal_logits=q.proximal_logits)
        loss, rollouts = tuple_rollouts(problem, estimator, at, likely)  # others may have no finite density
        return (law * loss.objective(rollouts)).sum(0).mean()

    pulled = torch.func.vjp(lambda theta: problem.encode(theta)["logits"], problem.theta())[1]
    return as_vector(pulled(torch.func.grad(total)(q.logits.detach()))[0])


def enumerated_variance(problem: Problem, estimator: PolicyGradient, K: int = 1) -> float:
    """Returns the exact variance of the estimate from K rollouts of each prompt, summed over θ.

    The loss may not reach across prompts, nor have the whole vocabulary's KL in the loss.
    """
    q = policy_of(problem)
    B = q.batch_shape[0]
    index = tuple_index(sequence_log_probs(q.logits, q.event_shape[0]).shape[-1], B, K)
    law = tuple_law(q, index)
    each = tuple_estimates(problem, estimator, q, index)
    mean = (law.unsqueeze(-1) * each).sum(0)
    return float(((law * each.square().sum(-1)).sum(0) - mean.square().sum(-1)).sum()) / B**2


def tuple_estimates(
    problem: Problem, estimator: PolicyGradient, q: PrefixPolicy, index: Int[Tensor, "R B K"]
) -> Float[Tensor, "R B P"]:
    """Returns each prompt's part of the estimate from each tuple, whose mean over prompts is the estimate."""
    loss, rollouts = tuple_rollouts(problem, estimator, q, index)
    return scored_tuples(problem, q, index, q.batch_shape[0] * loss.coefficients(rollouts))


def scored_tuples(
    problem: Problem, q: PrefixPolicy, index: Int[Tensor, "R B K"], C: Float[Tensor, "R B K T"]
) -> Float[Tensor, "R B P"]:
    """Returns Σ_{k,t} C s_t of each prompt, for coefficients C of tuples of answers."""
    T, V = q.event_shape
    z = sequences(T, V, q.logits).unsqueeze(1).expand(-1, q.batch_shape[0], -1, -1)  # [S, B, T, V]
    s, row, token = score_table(problem, q), q.prefix(z), z.argmax(-1)
    prompt = torch.arange(len(s))
    steps = s[prompt[:, None], row, token] * q.mask(z).unsqueeze(-1)  # [S, B, T, P]
    return torch.einsum("rbkt,rbktp->rbp", C, steps[index, prompt[None, :, None]])
