"""The contract of a sequence policy, by which losses over rollouts read a torch distribution."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective, Terms
from estimators.errors import BadInput
from estimators.policy.critics import Critic
from estimators.policy.rollouts import Rollouts
from estimators.tools.parameters import base, mode, sample


@runtime_checkable
class SequencePolicy(Protocol):
    """A distribution over sequences of up to T tokens. z is `[*sample, *batch, *event]`.

    One method is required; the others below and the attributes are optional. A distribution without `log_prob_steps` is
    a sequence of one token.

    - `mask(z)`, `[*sample, *batch, T]`: 1 up to and with the end token, else 0. Default: 1.
    - `behaviour`: the distribution from which rollouts are drawn, μ. Default: q itself (on-policy).
    - `proximal`: the policy of the clipped ratio's denominator, π_prox. Default: the behaviour.
    - `reference`: the policy of the KL term, π_ref. Default: none; a loss with a KL term then does not fit.
    - `prompt_axes`: how many of the last batch axes are prompts (0 or 1); all axes before them are replicates, which
      share nothing. Default: 0.
    - `next_log_probs(z)`, `[*sample, *batch, T, V]`: log π of every next token after each prefix of z. It is needed for
      the KL over the whole vocabulary alone, of q and of `reference`.
    - `state(z)`, `[*sample, *batch, T]`: the number of the state before each token, by which the error of a critic
      differs. Default: all tokens before it.

    `behaviour`, `proximal` and `reference` are sequence policies with q's batch shape, or its last axes, whose
    parameters have no gradient.

    An objective may offer `state_values(z, q)`, `[*sample, *batch, T]`: the exact expected rewards from each token on,
    given the tokens before it, for a critic; or a class of `StateValues` is registered for the policy (`state_values`).
    Rewards of single steps are those of `Terms`: a term is received at the last step on which it depends.
    """

    def log_prob_steps(self, z: Tensor) -> Tensor:
        """Returns log π(y_t | y_<t, prompt) of every token, `[*sample, *batch, T]`, 0 after the end token."""
        ...


def policy_beside(q: Distribution, name: str) -> Any:
    """Returns q's `behaviour`, `proximal` or `reference`, with the default of each; None for no reference."""
    found = getattr(base(q), name, None)
    if found is not None or name == "reference":
        return found
    return policy_beside(q, "behaviour") if name == "proximal" else q


def steps_of(q: Distribution, z: Tensor) -> Tensor:
    """Returns log π of every token, `[*sample, *batch, T]`; T = 1 for a distribution without steps."""
    inner = base(q)
    if isinstance(inner, SequencePolicy) and inner.event_shape == q.event_shape:
        return inner.log_prob_steps(z)
    return q.log_prob(z).unsqueeze(-1)


def drawn_from(q: Distribution, n: int) -> Tensor:
    """Returns n draws of q's behaviour for each element of q's batch, `[n, *batch, *event]`, as constants."""
    behaviour = policy_beside(q, "behaviour")
    missing = q.batch_shape[: len(q.batch_shape) - len(behaviour.batch_shape)]
    return sample(behaviour, n, *missing)


class Grouped:
    """Draws of a sequence policy as rollouts `[*replicates, B, K, T]`; without an axis of prompts, B = 1.

    Args:
        q: the policy.
        z: draws, `[K, *batch, *event]`.
    """

    def __init__(self, q: Distribution, z: Tensor) -> None:
        self.q, self.z = q, z
        self.prompts = getattr(base(q), "prompt_axes", 0)

    def tokens(self, each: Tensor, axes: int = 1) -> Tensor:
        """Returns a tensor `[K, *batch, T, …]`, with `axes` axes from T on, as `[*replicates, B, K, T, …]`."""
        moved = each.movedim(0, -1 - axes)
        return moved if self.prompts else moved.unsqueeze(-2 - axes)

    def rewards(self, each: Tensor) -> Tensor:
        """Returns a number of each draw `[K, *batch]` as `[*replicates, B, K]`."""
        return self.tokens(each, 0)

    def batch(self, each: Tensor) -> Tensor:
        """Returns a number of each prompt `[*replicates, B]` as `[*batch]`."""
        return each if self.prompts else each.squeeze(-1)


def rollouts_of(
    q: Distribution,
    f: Objective,
    z: Tensor,
    reward: Tensor,
    *,
    greedy: bool = False,
    critic: Critic | None = None,
    vocabulary: bool = True,
) -> Rollouts:
    """Returns draws of a sequence policy as rollouts.

    Args:
        q: the policy.
        f: the objective; asked for the greedy reward and for state values.
        z: draws of q's behaviour, `[K, *batch, *event]`.
        reward: R of each draw, `[K, *batch]`, or rewards at its steps, `[K, *batch, T]`.
        greedy: whether the greedy rollout's reward is wanted.
        critic: gives the values before each token; None for no critic.
        vocabulary: whether the log-probabilities of all next tokens are wanted, if q and its reference have them.
    """
    to = Grouped(q, z)
    steps = steps_of(q, z)
    inner: Any = base(q)
    mask = inner.mask(z) if hasattr(inner, "mask") else torch.ones_like(steps)
    by_step = reward.dim() == steps.dim()
    given = {name: policy_beside(q, name) for name in ("behaviour", "proximal", "reference")}
    beside = {name: to.tokens(steps_of(policy, z)) for name, policy in given.items() if policy not in (None, q)}
    if vocabulary and hasattr(inner, "next_log_probs") and hasattr(given["reference"], "next_log_probs"):
        beside["next_log_probs"] = to.tokens(inner.next_log_probs(z), 2)
        beside["next_reference"] = to.tokens(given["reference"].next_log_probs(z), 2)
    if greedy:
        beside["greedy_rewards"] = to.rewards(f(mode(q).unsqueeze(0), q).detach()).squeeze(-1)
    if critic is not None:
        beside["values"] = to.tokens(critic.values(q, f, z))
    return Rollouts(
        log_probs=to.tokens(steps),
        mask=to.tokens(mask),
        rewards=to.rewards(torch.zeros_like(reward[..., 0]) if by_step else reward),
        step_rewards=to.tokens(reward) if by_step else None,
        **beside,
    )


def rewards_of_steps(f: Terms, q: Distribution, each: Tensor, steps: int) -> Tensor:
    """Returns the terms of f `[*sample, *batch, terms]` as rewards of steps, `[*sample, *batch, T]`.

    A term is received at the last step on which it depends; one that depends on none, at the first. Raises `BadInput`
    if f depends on another number of variables than q has steps.
    """
    depends = f.dependence(q) if hasattr(f, "dependence") else f.depends  # type: ignore[attr-defined]
    if depends.shape[-1] != steps:
        raise BadInput(f"the terms of f depend on {depends.shape[-1]} variables, and q has {steps} steps")
    place = torch.arange(steps, device=each.device)
    last = torch.where(depends.to(each.device) != 0, place, 0).amax(-1)
    return each @ (last[:, None] == place).to(each.dtype)


class Regularised(Objective):
    """R(z) − β log π(z)/π_ref(z): the reward less a penalty on the distance from a reference policy.

    Its gradient is that of E R − β KL(π‖π_ref). A loss with a KL term reads `rewards` and `beta`, and makes the penalty
    itself; every other estimator takes the penalty as a part of f.

    Args:
        reward: R, an objective.
        beta: β.
    """

    differentiable = twice_differentiable = relaxable = False

    def __init__(self, reward: Objective, beta: float) -> None:
        self.reward, self.beta = reward, beta

    def rewards(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns R without the penalty."""
        return self.reward(z, q)

    def penalised(self, z: Tensor, q: Distribution, log_q: Tensor) -> Tensor:
        """Returns R − β (log_q − log π_ref(z))."""
        return self.reward(z, q) - self.beta * (log_q - policy_beside(q, "reference").log_prob(z))

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.penalised(z, q, q.log_prob(z))

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        return self.penalised(z, q, q.log_prob(z).detach())

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_q = q.log_prob(z)
        return value + self.beta * (log_q - log_q.detach())
