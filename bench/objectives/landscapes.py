"""Combinatorial landscapes over bits, and a bandit over arms."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Function, Objective
from estimators.errors import BadInput


@dataclass(frozen=True)
class Landscape(Target):
    """A function of bits, extended to values between 0 and 1 by a polynomial."""

    def fits(self, family: Family) -> str | None:
        if family.values != "bits":
            return "is a function of bits"
        return None if family.size > 2 else "needs at least 3 bits"


@objectives.register("max_cut")
@dataclass(frozen=True)
class MaxCut(Landscape):
    """Weight of the cut edges of a random graph, Σ_{i<j} w_ij [b_i + b_j − 2 b_i b_j] / size."""

    used_by = "neural combinatorial optimisation (Karalias, Loukas 2020; Bengio 2021)"

    density: float = 0.6

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        weight = self.edges(family.size).to(like)
        return Function(lambda z: cut(z, weight))

    def edges(self, size: int) -> Float[Tensor, "n n"]:
        """Returns the symmetric edge weights in [½, 1½] of a random graph, the same on every machine."""
        draw = np.random.default_rng(8)
        weight = draw.uniform(0.5, 1.5, (size, size)) * (draw.uniform(size=(size, size)) < self.density)
        return torch.tensor(np.triu(weight, 1) + np.triu(weight, 1).T)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        """Returns the cut of the bits' means, because the cut is multilinear; None for dependent bits."""
        return cut(parameters["logits"].sigmoid(), self.edges(family.size)) if family.factorised else None


def cut(z: Float[Tensor, "*batch n"], weight: Float[Tensor, "n n"]) -> Float[Tensor, "*batch"]:
    """Returns Σ_ij w_ij z_i (1 − z_j) / n: each edge counts once, at its end with value 1."""
    return ((z @ weight) * (1 - z)).sum(-1) / z.shape[-1]


@objectives.register("nk_landscape")
@dataclass(frozen=True)
class NKLandscape(Landscape):
    """mean_i table_i[b_i, b_{i+1}, b_{i+2}] with random tables: rugged, K = 2 (Kauffman, Levin 1987).

    Between 0 and 1 it is the multilinear extension.
    """

    used_by = "evolutionary computation, black-box discrete optimisation"

    seed: int = 9

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        table = torch.tensor(np.random.default_rng(self.seed).uniform(size=(family.size, 2, 2, 2))).to(like)
        return Function(lambda z: fitness(z, table))


def fitness(z: Float[Tensor, "*batch n"], table: Float[Tensor, "n 2 2 2"]) -> Float[Tensor, "*batch"]:
    """Returns the mean of the tables at each bit and its two right neighbours on a ring."""
    own, second, third = (torch.stack([1 - bit, bit], -1) for bit in (z, z.roll(-1, -1), z.roll(-2, -1)))
    cube = own[..., :, None, None] * second[..., None, :, None] * third[..., None, None, :]
    return (cube * table).sum((-1, -2, -3)).mean(-1)


@objectives.register("bandit")
@dataclass(frozen=True)
class Bandit(Target):
    """Σ_d reward of the arm pulled in round d: arm a pays a / (arms − 1) + `bonus`, a constant that only adds noise."""

    used_by = "bandits and one-step policies (Williams 1992; Chung 2021)"
    separable = True

    bonus: float = 2.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.bonus):
            raise BadInput(f"bandit: the bonus must be finite, found {self.bonus}")

    def terms(self, z: Tensor) -> Tensor:
        arms = z.shape[-1]
        pay = torch.arange(arms, dtype=z.dtype, device=z.device) / (arms - 1) + self.bonus
        return (z * pay).sum(-1)

    def fits(self, family: Family) -> str | None:
        return None if family.values == "one_hot" else "pays by one-hot arms"
