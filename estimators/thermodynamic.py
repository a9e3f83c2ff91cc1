"""The thermodynamic objective: a sum of expectations along the path from q to the posterior."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.importance_bounds import NEEDS, bound_of
from estimators.registry import register
from estimators.tools.parameters import sample
from estimators.traits import Traits


@register("thermodynamic")
@dataclass(frozen=True)
class Thermodynamic(Estimator):
    """Σ_i (β_{i+1} − β_i) ∇θ E_{π_β}[log w] at β = β_i, π_β ∝ q w^β: the left sum, another objective than L.

    β_0 = 0; the other points up to β_B = 1 are evenly spaced (i/B) or, with `spacing = "log"`, evenly spaced in log β
    from β_1 = `first`. ∇θ E_β[log w] = −E_β[s] + (1−β) Cov_β(log w, s), each from the K draws with weights ∝ w^β:
    self-normalised, so with a bias of O(1/K). B = `partitions`; B = 1 is the evidence bound's gradient times 1 − 1/K.
    Raises `BadInput` if `partitions` < 1, `spacing` is unknown, or `first` is outside (0, 1).
    Paper: Masrani, Le, Wood 2019, arXiv:1907.00031.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import ImportanceBound
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> Thermodynamic().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=False, needs=NEEDS, valued=False, paper="Masrani, Le, Wood 2019")

    partitions: int = 5
    spacing: str = "uniform"
    first: float = 0.01

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise BadInput(f"thermodynamic: partitions must be at least 1, found {self.partitions}")
        if self.spacing not in ("uniform", "log"):
            raise BadInput(f"thermodynamic: spacing must be uniform or log, found {self.spacing!r}")
        if not 0 < self.first < 1:
            raise BadInput(f"thermodynamic: first must lie between 0 and 1, found {self.first}")

    def edges(self, like: Tensor) -> Float[Tensor, " edges"]:
        """Returns β_0 = 0 to β_B = 1."""
        place = torch.arange(self.partitions + 1, dtype=like.dtype, device=like.device)
        if self.spacing == "uniform":
            return place / self.partitions
        log_spaced = self.first ** ((self.partitions - place) / max(self.partitions - 1, 1))
        return log_spaced * (place > 0)

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound = bound_of(f)
        z = sample(q, n, bound.draws)
        log_q = q.log_prob(z)
        log_w = bound.held_weight(z, q).unsqueeze(0)  # [1, n, K, *batch]
        edges = self.edges(log_w).reshape(-1, *(1 for _ in log_w.shape[1:]))
        beta, width = edges[:-1], edges.diff(dim=0)
        v = (beta * log_w).softmax(2)
        mean = (v * log_w).sum(2, keepdim=True)
        coefficient = (v * ((1 - beta) * (log_w - mean) - 1)).detach()
        coefficient = (width * coefficient).sum(0)
        return ((width * mean).sum(0).squeeze(1) + (coefficient * (log_q - log_q.detach())).sum(1)).mean(0)
