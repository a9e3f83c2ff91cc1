"""ARMS: any number of mutually antithetic draws of bits."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from estimators.baselines import spread
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.noise import antithetic_uniforms
from estimators.tools.parameters import linear, logits, valued
from estimators.traits import Need, Traits


@register("arms")
@dataclass(frozen=True)
class Arms(Estimator):
    """1/(K−1) Σ_k (f_k − f̄)(b_k − t) · t(1−t)/(t − P(1,1)) over K draws from a Dirichlet copula.

    u_k = (1 − d_k)^{K−1} with d ~ Dir(1): pairs have P(u_i < x, u_j < x) = B(x) = (2x^{1/(K−1)} − 1)₊^{K−1}. With m =
    min(t, 1−t) the rarer value is 1[u < m], so P(rare, rare) = B(m), and the last factor is t(1−t)/(m − B(m)) = σ(|φ|)
    / (1 − (2 − m^{−1/(K−1)})₊^{K−1}), which never divides a small number by a small one. K = 2 is DisARM; K → ∞
    approaches leave-one-out.
    Paper: Dimitriev, Zhou 2021 (ARMS), arXiv:2105.14141.
    Differs from the paper: the last factor is the paper's 1/(1 − ρ) rewritten without a quotient of small numbers, and
    of the paper's copulas only the Dirichlet copula is implemented.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> Arms().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 1000).backward()
    >>> abs(logit.grad.item() - 1) < 0.1
    True
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.BINARY}), min_samples=2, paper="Dimitriev, Zhou 2021")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi = logits(q)
        b = antithetic_bits(phi.detach(), n)
        value = f.held(b, q)
        centred = spread((value - value.mean(0)).detach(), b)
        covariance = (centred * (b - phi.detach().sigmoid())).sum(0) / (n - 1)
        return valued(value.mean(0), linear(covariance * correction(phi.detach(), n), phi, q))


def antithetic_bits(phi: Float[Tensor, "*batch"], K: int) -> Float[Tensor, "K *batch"]:
    """Returns K draws of bits, in which two draws rarely share the rarer value."""
    rare = (antithetic_uniforms(K, phi) < (-phi.abs()).sigmoid()).to(phi.dtype)
    return torch.where(phi < 0, rare, 1 - rare)


def correction(phi: Float[Tensor, "*batch"], K: int) -> Float[Tensor, "*batch"]:
    """Returns t(1−t)/(t − P(1,1)), which is 1 for independent draws.

    >>> torch.isclose(correction(torch.tensor(-3.0), 2), torch.tensor(3.0).sigmoid())  # DisARM's factor
    tensor(True)
    """
    root = (-logsigmoid(-phi.abs()) / (K - 1)).exp()  # m^{−1/(K−1)}
    return phi.abs().sigmoid() / (1 - (2 - root).clamp_min(0) ** (K - 1))
