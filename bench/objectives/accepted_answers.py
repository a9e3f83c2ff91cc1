"""The reward of long answers: 1 where an automaton accepts, with an exact expectation at any length."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.automaton_policy import AutomatonPolicy, AutomatonPolicyFamily
from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Objective
from estimators.errors import BadInput
from estimators.policy.sequence import Regularised


class Accepts(Objective):
    """R(z): 1 if the policy's automaton accepts z, else 0."""

    differentiable = twice_differentiable = relaxable = False

    def __call__(self, z: Tensor, q: AutomatonPolicy) -> Tensor:
        return q.accepted(z)

    def state_values(self, z: Tensor, q: AutomatonPolicy) -> Tensor:
        """Returns the exact E_π[R | the tokens before] at every token, `[*sample, *batch, T]`, 0 after the end."""
        T, S = q.event_shape[0], q.states
        values = q.values_to_go().detach().flatten(-2).unsqueeze(-1)
        left = T - torch.arange(T, device=z.device)
        return q.rows(values, left * S + q.prefix(z)).squeeze(-1) * q.mask(z)


@objectives.register("accepted_answers")
@dataclass(frozen=True)
class AcceptedAnswers(Target):
    """E R − `beta` KL(π‖π_ref): the probability of an accepted answer, less a penalty with `beta` above 0."""

    used_by = "reinforcement learning with verifiable rewards and long answers (DeepSeek-R1, Kimi k1.5)"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    beta: float = 0.0

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise BadInput(f"{self.name}: beta must be 0 or more, found {self.beta}")

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, AutomatonPolicyFamily) else "rewards the answers of automaton_policy"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return Regularised(Accepts(), self.beta) if self.beta else Accepts()

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        q = family.build(parameters)
        assert isinstance(q, AutomatonPolicy)
        return q.value(self.beta)
