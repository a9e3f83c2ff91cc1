"""Exact values of a policy's states for a critic: expected rewards from each step on, given the steps before it.

Losses with a critic ask for them (`estimators.policy.state_values`); a critic with an error adds it to them.
"""

import torch
from torch import Tensor

from bench.distributions.bernoulli_chain import BernoulliChain
from bench.distributions.tabular_policy import Trajectory
from bench.distributions.token_policy import TokenPolicy
from estimators.core import Objective, Terms
from estimators.policy.sequence import rewards_of_steps
from estimators.policy.state_values import StateValues, state_values

MOST_SEQUENCES = 2**12
"""Largest number of sequences that are enumerated for their prefixes' values."""


@state_values.register(Trajectory)
class OfTrajectory(StateValues):
    """V_t(s) of a tabular policy, by dynamic programming from the last step backwards: H steps, any horizon.

    V_t(s) = Σ_a π_t(a|s) [r_t(s, a) + Σ_s′ P(s′|s, a) V_{t+1}(s′)], V_H = 0 (Bellman 1957; a discount is in r_t).
    """

    def fits(self, q: Trajectory, f: Objective) -> bool:
        """Returns whether f is a sum of one term for each step, which depends on that step's state and action alone."""
        if not isinstance(f, Terms):
            return False
        depends = f.dependence(q)
        return depends.shape == (q.event_shape[0],) * 2 and bool(
            (depends.bool() <= torch.eye(len(depends)).bool()).all()
        )

    def at(self, q: Trajectory, f: Objective, z: Tensor) -> Tensor:
        values = values_of_states(q, rewards_of_state_and_action(q, f))
        return (z.sum(-1) * values).sum(-1)


def rewards_of_state_and_action(q: Trajectory, f: Objective) -> Tensor:
    """Returns r_t(s, a), `[*batch, H, S, A]`: f's terms at trajectories that stay at one state and action."""
    assert isinstance(f, Terms)
    H, S, A = q.event_shape
    stays = torch.eye(S * A, dtype=q.logits.dtype, device=q.logits.device).reshape(S * A, 1, S, A)
    stays = stays.reshape(S * A, *(1 for _ in q.batch_shape), 1, S, A).expand(S * A, *q.batch_shape, H, S, A)
    return f.each(stays, q).movedim(0, -1).unflatten(-1, (S, A))


def values_of_states(q: Trajectory, rewards: Tensor) -> Tensor:
    """Returns V_t(s), `[*batch, H, S]`, from r_t(s, a), `[*batch, H, S, A]`."""
    policy, after, values = q.logits.softmax(-1), torch.zeros_like(rewards[..., 0, :, 0]), []
    for t in reversed(range(q.event_shape[0])):
        following = (q.transition * after[..., None, None, :]).sum(-1)
        after = (policy[..., t, :, :] * (rewards[..., t, :, :] + following)).sum(-1)
        values.append(after)
    return torch.stack(values[::-1], -2)


class OfPrefixes(StateValues):
    """V(y_<t) of sequences, by enumeration of all: a prefix's value is the mean over its next tokens, backwards.

    The memory is sequences × T numbers for each element of q's batch, so there may be at most `MOST_SEQUENCES`.
    """

    def fits(self, q: TokenPolicy | BernoulliChain, f: Objective) -> bool:
        """Returns whether the sequences are few, and f's value is one for each of them."""
        T, V = steps_and_values(q)
        return V**T <= MOST_SEQUENCES and not f.noisy and (not isinstance(f, Terms) or f.dependence(q).shape[-1] == T)

    def at(self, q: TokenPolicy | BernoulliChain, f: Objective, z: Tensor) -> Tensor:
        V, chosen = steps_and_values(q)[1], choices(z, q)
        number, found = torch.zeros_like(chosen[..., 0]), []
        for t, value in enumerate(values_of_prefixes(q, f)):
            found.append(value.gather(0, number))
            number = V * number + chosen[..., t]
        return torch.stack(found, -1)


state_values.register(TokenPolicy)(OfPrefixes)
state_values.register(BernoulliChain)(OfPrefixes)


def steps_and_values(q: TokenPolicy | BernoulliChain) -> tuple[int, int]:
    """Returns the number of steps and of values of each."""
    return q.event_shape[0], q.event_shape[1] if len(q.event_shape) > 1 else 2


def choices(z: Tensor, q: TokenPolicy | BernoulliChain) -> Tensor:
    """Returns the value of each step as a whole number, `[*sample, *batch, T]`."""
    return z.argmax(-1) if len(q.event_shape) > 1 else z.long()


def values_of_prefixes(q: TokenPolicy | BernoulliChain, f: Objective) -> list[Tensor]:
    """Returns for each t the expected rewards from step t on, after each of the V^t prefixes, `[V^t, *batch]`.

    Prefixes are in lexicographic order, as `enumerate_support` has the sequences.
    """
    T, V = steps_and_values(q)
    sequences = q.enumerate_support()
    law = q.log_prob_steps(sequences).exp()
    rewards = rewards_of_each_step(q, f, sequences, T)
    after, values = torch.zeros_like(law[..., 0]), []
    for t in reversed(range(T)):
        first = slice(None, None, V ** (T - 1 - t))  # the first of the sequences with each prefix of t + 1 tokens
        after = (law[first][..., t] * (rewards[first][..., t] + after)).unflatten(0, (-1, V)).sum(1)
        values.append(after)
    return values[::-1]


def rewards_of_each_step(q: TokenPolicy | BernoulliChain, f: Objective, z: Tensor, steps: int) -> Tensor:
    """Returns the rewards received at each step, `[*sample, *batch, T]`: f's terms, or f at the last step."""
    if isinstance(f, Terms):
        return rewards_of_steps(f, q, f.each_held(z, q), steps)
    value = f.held(z, q)
    return torch.nn.functional.pad(value.unsqueeze(-1), (steps - 1, 0))
