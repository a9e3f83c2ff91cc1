"""A tabular policy in a finite Markov decision process; a draw is a whole trajectory."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.base import Encode, Family, distributions
from bench.numerics.tensors import Tensors
from estimators.traits import Need


class Trajectory(Distribution):
    """H steps of a policy, one-hot over state and action: z is `[*batch, H, S, A]`.

    `logits` `[*batch, H, S, A]` are the policy's at each step; `transition` `[*batch, S, A, S]` and `initial`
    `[*batch, S]` are the environment's probabilities. `log_prob` contains the policy's part only. The environment's
    part does not depend on θ, so the gradient is still the score, and the environment need not be known.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.independent(constraints.real, 3),
        "transition": constraints.independent(constraints.simplex, 2),
        "initial": constraints.simplex,
    }
    support = constraints.independent(constraints.boolean, 3)  # type: ignore[assignment]
    offers = frozenset({Need.DENSITY})
    offers_not = frozenset({Need.MEAN, Need.MODE, Need.FACTORISED})

    def __init__(self, logits: Tensor, transition: Tensor, initial: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.transition, self.initial = logits, transition, initial
        super().__init__(logits.shape[:-3], logits.shape[-3:], validate_args)

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        horizon = self.event_shape[0]
        policy = self.logits.softmax(-1)
        state = one_hot_draw(self.initial.expand(*sample_shape, *self.initial.shape))
        steps = []
        for t in range(horizon):
            action = one_hot_draw((state[..., None] * policy[..., t, :, :]).sum(-2))
            both = state[..., :, None] * action[..., None, :]
            steps.append(both)
            state = one_hot_draw((both[..., None] * self.transition).sum((-3, -2)))
        return torch.stack(steps, -3)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits.log_softmax(-1)).sum((-1, -2, -3))

    def log_prob_steps(self, value: Tensor) -> Tensor:
        """Returns the log-probability of every action given its state, `[*batch, H]`."""
        return (value * self.logits.log_softmax(-1)).sum((-1, -2))

    def state(self, z: Tensor) -> Int[Tensor, "*batch H"]:
        """Returns the number of the state before each action."""
        return z.sum(-1).argmax(-1)

    def other_values(self, value: Tensor) -> Tensor:
        """Returns the trajectories with every action replaced by the next one, the one after it, …, in the same states,
        `[A − 1, *value.shape]`."""
        return torch.stack([value.roll(turn, -1) for turn in range(1, value.shape[-1])])

    def log_environment(self, value: Tensor) -> Tensor:
        """Returns the log-probability of the states given the actions, `[*batch]`: −∞ where a transition cannot occur.

        It does not depend on θ.
        """
        state = value.sum(-1)
        reached = (value[..., :-1, :, :, None] * self.transition[..., None, :, :, :]).sum((-3, -2))
        first = (state[..., 0, :] * self.initial).sum(-1)
        return first.log() + (reached * state[..., 1:, :]).sum(-1).log().sum(-1)


def one_hot_draw(probs: Float[Tensor, "*batch categories"]) -> Float[Tensor, "*batch categories"]:
    """Returns one-hot draws, by the inverse distribution function."""
    noise = torch.rand(probs.shape[:-1], dtype=probs.dtype, device=probs.device)
    index = (noise[..., None] > probs.cumsum(-1)[..., :-1]).sum(-1)
    return (index[..., None] == torch.arange(probs.shape[-1], device=probs.device)).to(probs.dtype)


@lru_cache
def garnet(
    states: int, actions: int
) -> tuple[Float[np.ndarray, "S A S"], Float[np.ndarray, " S"], Float[np.ndarray, "S A"]]:
    """Returns a random environment: transition probabilities (to at most three states each), initial probabilities, and
    rewards in [0, 1] (Archibald, McKinnon, Thomas 1995).

    NumPy arrays, because a tensor created inside a torch.func transform and cached would be invalid in the next one.
    """
    draw = np.random.default_rng(5)
    transition = np.zeros((states, actions, states))
    for s, a in np.ndindex(states, actions):
        reached = draw.choice(states, min(3, states), replace=False)
        transition[s, a, reached] = draw.dirichlet(np.ones(len(reached)))
    return transition, draw.dirichlet(np.ones(states)), draw.uniform(size=(states, actions))


@distributions.register("tabular_policy")
@dataclass(frozen=True)
class TabularPolicyFamily(Family):
    """Trajectories of `horizon` steps among `size` states and `actions` actions; θ is the policy's logits [S, A].

    `extreme`: eight times the logits, a policy that hardly explores.
    """

    used_by = "policy-gradient reinforcement learning (REINFORCE, actor-critic, PPO)"
    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points: ClassVar[tuple[str, ...]] = ("default", "extreme")

    size: int = 5
    actions: int = 3
    horizon: int = 6

    def theta(self, point: str, coordinates: str) -> Tensors:
        scale = {"default": 0.5, "extreme": 4.0}[point]
        return {"logits": torch.tensor(np.random.default_rng(6).normal(0, scale, (self.size, self.actions)))}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return self.encoder(theta["logits"])(theta, coordinates)

    def encoder(self, like: Tensor) -> Encode:
        transition, initial, _ = garnet(self.size, self.actions)
        return partial(self.encode_policy, torch.tensor(transition).to(like), torch.tensor(initial).to(like))

    def encode_policy(
        self, transition: Float[Tensor, "S A S"], initial: Float[Tensor, " S"], theta: Tensors, coordinates: str
    ) -> Tensors:
        """Returns the parameters of `Trajectory`, given the environment."""
        policy = theta["logits"].expand(self.horizon, -1, -1)
        return {"logits": policy, "transition": transition, "initial": initial}

    def build(self, parameters: Tensors) -> Distribution:
        return Trajectory(**parameters, validate_args=False)
