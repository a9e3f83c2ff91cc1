"""Behaviour policies: how the policy that draws rollouts differs from the policy that is trained."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bench.numerics.tensors import Tensors
from estimators.errors import BadInput, nearest

STEPPERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def require_optimiser(name: str, family: str) -> None:
    """Raises BadInput unless an optimiser of that name exists."""
    if name not in STEPPERS:
        raise BadInput(f"{family} has no optimiser {name!r}; {nearest(name, STEPPERS)}")


@dataclass(frozen=True)
class Perturbation:
    """What happens to the logits of the policy that draws, in this order.

    `noise`: standard deviation of Normal noise in each logit, from a fixed seed (a rollout engine of lower precision).
    `temperature`: the logits are divided by it. `top_k`: only so many likeliest tokens stay; 0 keeps all. `top_p`: only
    the likeliest tokens stay whose more likely ones have together less than this probability.
    """

    noise: float
    temperature: float
    top_k: int
    top_p: float

    def logits(self, logits: Float[Tensor, "*batch V"]) -> Float[Tensor, "*batch V"]:
        """Returns the perturbed logits, −∞ where a token is never drawn."""
        noise = torch.tensor(np.random.default_rng(11).normal(size=logits.shape))
        moved = (logits + self.noise * noise) / self.temperature
        return torch.where(kept_tokens(moved, self.top_k, self.top_p), moved, -torch.inf)


def kept_tokens(logits: Float[Tensor, "*batch V"], top_k: int, top_p: float) -> Bool[Tensor, "*batch V"]:
    """Returns which tokens stay: top-k first, then top-p among these (Holtzman et al. 2020, ICLR, section 3.1).

    >>> kept_tokens(torch.tensor([0.5, 0.3, 0.2]).log(), 0, 0.6)
    tensor([ True,  True, False])
    """
    order = logits.argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(-1)
    stays = rank < (top_k or logits.shape[-1])
    falling = logits.masked_fill(~stays, -torch.inf).softmax(-1).gather(-1, order)
    more_likely = (falling.cumsum(-1) - falling).gather(-1, rank)
    return stays & ((more_likely < top_p) | (top_p >= 1))


class Policies(NamedTuple):
    """Logits of the policies beside π, None for one that is not there.

    NumPy arrays, because a tensor created inside a torch.func transform and cached would be invalid in the next.
    """

    behaviour: np.ndarray | None
    reference: np.ndarray
    proximal: np.ndarray | None

    def like(self, like: Tensor) -> dict[str, Tensor | None]:
        """Returns the logits as tensors with `like`'s dtype, on its device."""
        return {
            f"{name}_logits": None if table is None else torch.tensor(table, dtype=like.dtype, device=like.device)
            for name, table in self._asdict().items()
        }


@dataclass(frozen=True)
class BehaviourSettings:
    """Settings of a family from which the behaviour, the proximal and the reference policy are made.

    `proximal_stale`: the proximal policy, the denominator of a clipped ratio, is π that many steps back, without noise,
    temperature or truncation; it then differs from the behaviour, as the trainer's old policy differs from the rollout
    engine's, or from an older one. At 0 it is π itself. Default: the behaviour is the proximal policy.
    """

    stale: int = 0
    optimiser: str = "sgd"
    learning_rate: float = 1.0
    logit_noise: float = 0.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    truncated_trainer: bool = False
    reference_noise: float = 0.5
    proximal_stale: int | None = field(default=None, metadata={"later": True})

    def require_behaviour(self, family: str) -> None:
        """Raises BadInput if a setting has an impossible value; `family` is named in the sentence."""
        require_optimiser(self.optimiser, family)
        for wrong, sentence in (
            (self.stale < 0, f"stale must be 0 steps or more, found {self.stale}"),
            (not self.learning_rate > 0, f"learning_rate must be above 0, found {self.learning_rate}"),
            (not self.logit_noise >= 0, f"logit_noise must be 0 or more, found {self.logit_noise}"),
            (not self.temperature > 0, f"temperature must be above 0, found {self.temperature}"),
            (self.top_k < 0, f"top_k must be 0 (all tokens) or more, found {self.top_k}"),
            (not 0 < self.top_p <= 1, f"top_p must be in (0, 1], found {self.top_p}"),
            (
                self.proximal_stale is not None and self.proximal_stale < 0,
                f"proximal_stale must be 0 steps or more, or left out, found {self.proximal_stale}",
            ),
            (not self.reference_noise >= 0, f"reference_noise must be 0 or more, found {self.reference_noise}"),
        ):
            if wrong:
                raise BadInput(f"{family}: {sentence}")

    @property
    def perturbation(self) -> Perturbation:
        """What happens to the logits of the stale policy."""
        return Perturbation(self.logit_noise, self.temperature, self.top_k, self.top_p)

    def policies(
        self, theta: Tensors, reward: Callable[[Tensors], Tensor], table: Callable[[Tensors], Tensor]
    ) -> "Policies":
        """Returns the logits of the policies beside π.

        Args:
            theta: π's θ.
            reward: θ ↦ the exact mean reward, a scalar, of which earlier steps were taken.
            table: θ ↦ logits.
        """
        logits = table(theta)

        def back(steps: int) -> Tensor:
            return table(steps_back(theta, reward, steps, self.optimiser, self.learning_rate))

        noise = torch.tensor(np.random.default_rng(12).normal(size=logits.shape))
        return Policies(
            behaviour=None if self.on_policy else self.perturbation.logits(back(self.stale)).numpy(),
            proximal=None if self.proximal_stale is None else back(self.proximal_stale).numpy(),
            reference=(logits + self.reference_noise * noise).numpy(),
        )

    @property
    def on_policy(self) -> bool:
        """Whether rollouts are drawn from the policy itself."""
        return not self.stale and self.perturbation == Perturbation(0.0, 1.0, 0, 1.0)


def steps_back(
    theta: Tensors, reward: Callable[[Tensors], Tensor], steps: int, optimiser: str, learning_rate: float
) -> Tensors:
    """Returns θ after so many optimiser steps down the exact gradient of the reward: a policy before an update."""
    moved = {name: value.clone() for name, value in theta.items()}
    stepper = STEPPERS[optimiser](moved.values(), lr=learning_rate)
    for _ in range(steps):
        for name, slope in torch.func.grad(reward)(moved).items():
            moved[name].grad = slope
        stepper.step()
    return moved
