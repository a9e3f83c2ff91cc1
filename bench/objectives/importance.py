"""The importance-weighted bound of a small model; exact by a sum over all sets of K draws."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import ImportanceBound
from estimators.errors import BadInput
from estimators.tools.parameters import states, support

MAX_SETS = 2**20


@objectives.register("importance_bound")
@dataclass(frozen=True)
class ImportanceWeighted(Target):
    """log 1/K Σ_k p(x, z_k)/q(z_k), K = `draws`; for `alpha` ≠ 0 the Rényi bound.

    The model: x = Σ_d w_d v_d + noise of variance `variance`, observed at `target`; w_d falls evenly from 1 to ½;
    v_d is a coordinate with a standard Normal or uniform prior, or the category index of a one-hot row, with a uniform
    prior. The exact gradient sums over all sets of K draws, at most 2²⁰, or uses a rule over K draws of one Normal.
    """

    used_by = "importance-weighted autoencoders (Burda 2016), VIMCO, OVIS, DReG, reweighted wake-sleep"
    twice_differentiable = False

    draws: int = 2
    alpha: float = 0.0
    target: float = 1.3
    variance: float = 0.5

    def __post_init__(self) -> None:
        if self.draws < 2 or self.alpha == 1:
            raise BadInput(f"importance_bound: takes at least 2 draws and an alpha other than 1, found {self}")
        if self.variance <= 0:
            raise BadInput(f"importance_bound: the variance must be above 0, found {self.variance}")

    def fits(self, family: Family) -> str | None:
        known = family.values in ("bits", "one_hot") or family.name in ("normal", "multivariate_normal")
        return None if known else "is for bits, one-hot rows and Normals"

    def build(self, family: Family, point: str, like: Tensor) -> ImportanceBound:
        weight = torch.linspace(1.0, 0.5, family.size).to(like)
        number = torch.arange(getattr(family, "categories", 1)).to(like)

        def log_joint(z: Tensor) -> Tensor:
            v = (z * number).sum(-1) if family.values == "one_hot" else z
            error = ((weight * v).sum(-1) - self.target).square() / self.variance
            likelihood = -(error + math.log(2 * math.pi * self.variance)) / 2
            if family.values == "real":
                return likelihood - (z.square() + math.log(2 * math.pi)).sum(-1) / 2
            return likelihood - family.size * math.log(max(2, len(number)))

        return ImportanceBound(log_joint, self.draws, alpha=self.alpha)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        q = family.build(parameters)
        if family.values == "real":
            if family.size > 1 or self.draws > 2:
                return None
            z, weight = family.joint(parameters, (), level)
        else:
            count = states(q)
            if count is None or count**self.draws > MAX_SETS:
                return None
            z, weight = support(q), torch.ones(count, dtype=torch.float64)
        bound = self.build(family, point, weight)
        of_sets = torch.cartesian_prod(*[torch.arange(len(z))] * self.draws)
        log_q = q.log_prob(z)
        log_w = ((1 - self.alpha) * (bound.log_joint(z) - log_q))[of_sets]
        value = (log_w.logsumexp(1) - math.log(self.draws)) / (1 - self.alpha)
        return ((weight.log() + log_q)[of_sets].sum(1).exp() * value).sum(0)
