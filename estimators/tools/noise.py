"""Noise for the estimators. Each function returns `[n, *like.shape]` in `like`'s dtype and on its device.

No ε is added inside a logarithm: the uniforms lie in the open interval.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def uniform(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """U(0, 1), never 0 or 1: a 0 from `torch.rand` stands for its first cell [0, ε/2) and becomes the cell's middle.

    >>> u = uniform(1000, torch.zeros(1000))
    >>> bool((u > 0).all() and (u < 1).all())
    True
    """
    u = torch.rand((n, *like.shape), dtype=like.dtype, device=like.device)
    return u.clamp_min(torch.finfo(like.dtype).eps / 4)


def gumbel(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """−log(−log u): mean 0.5772, variance π²/6."""
    return -(-uniform(n, like).log()).log()


def logistic(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """log u − log(1 − u), the difference of two Gumbels: mean 0, variance π²/3."""
    u = uniform(n, like)
    return u.log() - (-u).log1p()


def rayleigh(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """Density w e^{−w²/2}, w > 0, which is Weibull(√2, 2): mean √(π/2), E w² = 2."""
    return (-2 * uniform(n, like).log()).sqrt()


def maxwell(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """The double-sided Maxwell, density ∝ m² e^{−m²/2}: mean 0, E m² = 3, E m⁴ = 15.

    √(g₁² + 2E) with g₁ Gaussian and 2E = g₂² + g₃², under the sign of a third number.
    """
    g = torch.randn((n, *like.shape), dtype=like.dtype, device=like.device)
    return signs(g) * (g.square() - 2 * uniform(n, like).log()).sqrt()


def signs(like: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """1 or −1 with probability ½ each, in `like`'s shape."""
    u = torch.rand(like.shape, dtype=like.dtype, device=like.device)
    return torch.where(u < 0.5, -1.0, 1.0).to(like.dtype)


def exponential(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """−log u: mean 1, variance 1."""
    return -uniform(n, like).log()


def antithetic_uniforms(n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "n *batch"]:
    """n ≥ 2 uniforms that repel each other: u_k = (1 − d_k)^{n−1} with d ~ Dirichlet(1, …, 1).

    P(u_i < x, u_j < y) = (x^{1/(n−1)} + y^{1/(n−1)} − 1)₊^{n−1}; for n = 2 the pair is u and 1 − u. 1 − d_k is computed
    as the sum over the others, because 1 minus d_k loses precision where d_k is near 1.

    >>> torch.allclose(antithetic_uniforms(2, torch.zeros(4)).sum(0), torch.ones(4))
    True
    """
    e = exponential(n, like)
    other = 1 - torch.eye(n, dtype=like.dtype, device=like.device)
    return (torch.tensordot(other, e, 1) / e.sum(0)) ** (n - 1)
