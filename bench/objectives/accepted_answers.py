"""The reward of long answers: 1 where an automaton accepts, with an exact expectation at any length."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.automaton_policy import AutomatonPolicy, AutomatonPolicyFamily
from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Objective
from estimators.errors import BadInput
from estimators.order_statistics import OrderStatistics
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
    """E R − `beta` KL(π‖π_ref): the probability of an accepted answer, less a penalty with `beta` above 0.

    With `draws` k above 1 it is pass@k, the probability 1 − (1 − E R)^k that one of k answers to a prompt is accepted
    (Chen et al. 2021, arXiv:2107.03374).
    """

    used_by = "reinforcement learning with verifiable rewards and long answers (DeepSeek-R1, Kimi k1.5)"
    differentiable = False
    twice_differentiable = False
    relaxable = False

    beta: float = 0.0
    draws: int = field(default=1, metadata={"later": True})

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise BadInput(f"{self.name}: draws must be at least 1, found {self.draws}")
        if self.draws > 1 and self.beta:
            raise BadInput(f"{self.name}: a penalty, beta above 0, is of single answers: draws must be 1")
        if not self.beta >= 0:
            raise BadInput(f"{self.name}: beta must be 0 or more, found {self.beta}")

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, AutomatonPolicyFamily) else "rewards the answers of automaton_policy"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        if self.draws > 1:
            assert isinstance(family, AutomatonPolicyFamily)
            automaton = AutomatonPolicy(like.new_zeros(family.prompts, family.states, family.vocabulary), family.size)
            return OrderStatistics.maximum(automaton.accepted, self.draws)
        return Regularised(Accepts(), self.beta) if self.beta else Accepts()

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        q = family.build(parameters)
        assert isinstance(q, AutomatonPolicy)
        value = q.value(self.beta)
        return value if self.draws == 1 else 1 - (1 - value) ** self.draws
