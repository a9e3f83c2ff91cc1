"""The discounted return of a policy in a finite Markov decision process."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.distributions.tabular_policy import TabularPolicyFamily, garnet
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Objective, Terms


@objectives.register("discounted_return")
@dataclass(frozen=True)
class DiscountedReturn(Target):
    """Σ_t γ^t r(s_t, a_t), γ = `discount`, a term for each step.

    Exact by dynamic programming over the distribution of states.
    """

    used_by = "policy-gradient reinforcement learning (Williams 1992; Sutton 2000)"

    discount: float = 0.9

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, TabularPolicyFamily) else "rewards the trajectories of a tabular policy"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        worth = self.worth(family).to(like)
        return Terms(lambda z: (z * worth).sum((-1, -2)), torch.eye(len(worth), device=like.device))

    def worth(self, family: Family) -> Float[Tensor, "H S A"]:
        """Returns γ^t r(s, a)."""
        assert isinstance(family, TabularPolicyFamily)
        _, _, reward = garnet(family.size, family.actions)
        return self.discount ** torch.arange(family.horizon).double()[:, None, None] * torch.tensor(reward)

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        return expected_return(**parameters, worth=self.worth(family))


def expected_return(
    logits: Float[Tensor, "*batch H S A"],
    transition: Float[Tensor, "*batch S A S"],
    initial: Float[Tensor, "*batch S"],
    worth: Float[Tensor, "H S A"],
) -> Float[Tensor, "*batch"]:
    """Returns E Σ_t worth[t, s_t, a_t], by a forward recursion over the distribution of states."""
    policy = logits.softmax(-1)
    law, total = initial, torch.zeros_like(initial[..., 0])
    for t in range(len(worth)):
        both = law[..., None] * policy[..., t, :, :]
        total = total + (both * worth[t]).sum((-1, -2))
        law = (both[..., None] * transition).sum((-3, -2))
    return total
