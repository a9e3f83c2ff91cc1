"""Gumbel-sparsemax: a relaxation whose draws reach the corners of the simplex."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective
from estimators.registry import register
from estimators.relaxed import Relaxed, is_bits, perturbed, resolved
from estimators.traits import Need, Traits


@register("gumbel_sparsemax")
@dataclass(frozen=True)
class GumbelSparsemax(Relaxed):
    """∇θ f(sparsemax((l + g)/τ)), g Gumbel; for bits the clipped line ½ + (φ + logit u)/2τ.

    The Jacobian is (1/τ)(diag 1_S − 1_S 1_Sᵀ/#S), with S the support: zero if a single category remains, which at τ =
    0.1 and four categories is 93 % of the draws. Biased.
    Paper: Paulus, Choi, Tarlow, Krause, Maddison 2020, arXiv:2006.08063; sparsemax: Martins, Astudillo 2016,
    arXiv:1602.02068, equation 1.
    Differs from the paper: bits, which the paper does not cover, are treated as two categories.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4))
    >>> value = GumbelSparsemax().surrogate(q, Function(lambda x: x.sum(-1)), 10)
    >>> torch.isclose(value, torch.tensor(1.0))
    tensor(True)
    """

    traits = Traits(
        unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), valued=False, paper="Paulus et al. 2020"
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = perturbed(q, n)
        resolved(self.temperature, z.dtype)
        z = z / self.temperature
        return f((0.5 + z / 2).clamp(0, 1) if is_bits(q) else sparsemax(z), q).mean(0)


def sparsemax(z: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns the point of the simplex nearest to z, over the last axis.

    With z sorted in descending order, S is the k largest with 1 + k z_(k) > Σ_{j≤k} z_(j).

    >>> sparsemax(torch.tensor([0.6, 0.2, -3.0]))
    tensor([0.7000, 0.3000, 0.0000])
    """
    z = z - z.max(-1, keepdim=True).values.detach()
    ordered = z.sort(-1, descending=True).values
    sums = ordered.cumsum(-1)
    k = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    size = (1 + k * ordered > sums).sum(-1, keepdim=True).clamp_min(1)  # 0 only where z is NaN
    return (z - (sums.gather(-1, size - 1) - 1) / size).clamp_min(0)
