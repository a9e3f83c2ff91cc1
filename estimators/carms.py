"""CARMS: any number of mutually antithetic draws of one-hot variables."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.ars import for_each_variable
from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.stratified import inverse_cdf
from estimators.tools.noise import antithetic_uniforms
from estimators.tools.parameters import linear, logits, valued
from estimators.traits import Need, Traits


@register("carms")
@dataclass(frozen=True)
class Carms(Estimator):
    """1/(K(K−1)) Σ_i s_i Σ_{j≠i} (p_i p_j/P_ij)(f_i − f_j), with P_ij the joint probability of a pair of categories.

    The ratio, one per variable, makes the pair independent again in that variable. It requires P(a, b) > 0 wherever a ≠
    b, which antithetic uniforms alone do not ensure. Therefore each variable is antithetic with probability `coupling`
    and independent otherwise: P = coupling · P_antithetic + (1 − coupling) p_a p_b, and no ratio exceeds 1/(1 −
    coupling). coupling = 0 is leave-one-out. Raises `BadInput` unless 0 ≤ `coupling` < 1.
    Paper: Dimitriev, Zhou 2021 (CARMS), arXiv:2110.14002.
    Differs from the paper: each variable is antithetic with probability `coupling` and independent otherwise, so that
    every pair stays possible.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4))
    >>> Carms().surrogate(q, Function(lambda z: 3 * z.sum(-1)), 3)
    tensor(3.)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.CATEGORICAL}), min_samples=2, paper="Dimitriev, Zhou 2021")

    coupling: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.coupling < 1:
            raise BadInput(f"carms: coupling must be in [0, 1), found {self.coupling}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi = logits(q)
        p = phi.detach().softmax(-1)
        z = inverse_cdf(self.uniforms(n, p[..., 0]), p)
        value = f.held(z, q)
        f_k = for_each_variable(value.detach(), 0, q)
        difference = (f_k.unsqueeze(1) - f_k) * self.ratio(z, p)  # [K, K, *batch, *variables]
        gradient = ((z - p) * difference.sum(1).unsqueeze(-1)).sum(0) / (n * (n - 1))
        return valued(value.mean(0), linear(gradient, phi, q))

    def uniforms(self, n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
        """Returns, per variable, n antithetic or n independent uniforms."""
        antithetic = antithetic_uniforms(n, like)
        free = torch.rand((n, *like.shape), dtype=like.dtype, device=like.device)
        coupled = torch.rand(like.shape, dtype=like.dtype, device=like.device) < self.coupling
        return torch.where(coupled, antithetic, free)

    def ratio(self, z: Float[Tensor, "K *batch"], p: Float[Tensor, "..."]) -> Float[Tensor, "K K ..."]:
        """Returns p_i p_j/P_ij of every pair of draws, per variable.

        Computed in float64, because P is a difference of larger numbers.
        """
        top = p.double().cumsum(-1)
        above, own = ((z * part).sum(-1) for part in (top / top[..., -1:], p.double()))
        high, low = (edge.clamp(0, 1) ** (1 / (len(z) - 1)) for edge in (above, above - own))

        def joint(x: Tensor, y: Tensor) -> Tensor:
            return (x.unsqueeze(1) + y - 1).clamp_min(0) ** (len(z) - 1)

        antithetic = joint(high, high) - joint(low, high) - joint(high, low) + joint(low, low)
        free = own.unsqueeze(1) * own
        return (free / (self.coupling * antithetic.clamp_min(0) + (1 - self.coupling) * free)).to(p.dtype)
