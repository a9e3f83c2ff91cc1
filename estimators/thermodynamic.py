"""The thermodynamic objective: a sum of expectations along the path from q to the posterior."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, Traits
from estimators.errors import BadInput
from estimators.importance_bounds import NEEDS, bound_of
from estimators.registry import register


@register("thermodynamic")
@dataclass(frozen=True)
class Thermodynamic(Estimator):
    """Σ_β Δβ ∇θ E_{π_β}[log w], π_β ∝ q w^β at β = 0, 1/B, …, (B−1)/B: the left sum, another objective than L.

    ∇θ E_β[log w] = −E_β[s] + (1−β) Cov_β(log w, s), each from the K draws with weights ∝ w^β: self-normalised, so
    O(1/K) biased. B = 1 is the evidence bound's gradient times 1 − 1/K.
    Paper: Masrani, Le, Wood 2019.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import ImportanceBound
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> Thermodynamic().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=False, needs=NEEDS, valued=False, paper="Masrani, Le, Wood 2019")

    partitions: int = 5

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise BadInput(f"thermodynamic: partitions must be at least 1, found {self.partitions}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound = bound_of(f)
        z = q.sample((n, bound.draws))
        log_q = q.log_prob(z)
        log_w = (bound.log_joint(z) - log_q.detach()).unsqueeze(0)  # [1, n, K, *batch]
        beta = torch.arange(self.partitions, dtype=log_w.dtype, device=log_w.device) / self.partitions
        beta = beta.reshape(-1, *(1 for _ in log_w.shape[1:]))
        v = (beta * log_w).softmax(2)
        mean = (v * log_w).sum(2, keepdim=True)
        coefficient = (v * ((1 - beta) * (log_w - mean) - 1)).detach().mean(0)
        return (mean.mean(0).squeeze(1) + (coefficient * (log_q - log_q.detach())).sum(1)).mean(0)
