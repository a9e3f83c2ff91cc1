"""Moments of K independent gradients of one step, from inner products alone.

With g_1, …, g_K independent, of mean G and covariance Σ, two statistics are unbiased for any distribution:

    signal = mean of g_i·g_j over i ≠ j, for ‖G‖²,      noise = Σ_i ‖g_i − ḡ‖² / (K − 1), for tr Σ.

Both are U-statistics of degree 2, so leaving one gradient out gives their covariance (the jackknife), except that it
counts the part that is quadratic in the noise twice (Efron and Stein 1981, Ann. Statist. 9, 586-596). That part is
2 tr Σ² / (K(K − 1)) in both variances and its negative in the covariance, and tr Σ² has an unbiased estimate, too.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 8192
"""Columns of the gradients that are read at once: K + 1 rows of float32 stay in a processor's cache."""


class GradientMoments(NamedTuple):
    """Moments per step; the leading axes are steps, or nothing.

    Attributes:
        signal: the estimate of ‖G‖². It may be negative.
        noise: the estimate of tr Σ.
        covariance: the jackknife covariance of (signal, noise).
        excess: what the jackknife counts too much: it belongs to both variances, and its negative to the covariance.
        count: K, the number of gradients.
    """

    signal: Float[Tensor, "*steps"]
    noise: Float[Tensor, "*steps"]
    covariance: Float[Tensor, "*steps 2 2"]
    excess: Float[Tensor, "*steps"]
    count: Float[Tensor, "*steps"]


def centring(count: int) -> Float[Tensor, "K1 K"]:
    """The matrix that makes the mean and the K deviations from it of K gradients.

    >>> centring(2)
    tensor([[ 0.5000,  0.5000],
            [ 0.5000, -0.5000],
            [-0.5000,  0.5000]], dtype=torch.float64)
    """
    mean = torch.full((1, count), 1 / count, dtype=torch.float64)
    return torch.cat([mean, torch.eye(count, dtype=torch.float64) - mean])


def gram(rows: Float[Tensor, "K P"], mix: Float[Tensor, "L K"]) -> Float[Tensor, "L L"]:
    """The inner products of the L vectors `mix @ rows`, in float64; reads `rows` once, block by block."""
    mix = mix.to(rows)
    where = "cpu" if rows.device.type == "mps" else rows.device  # Apple's GPUs have no float64
    products = torch.zeros(len(mix), len(mix), dtype=torch.float64, device=where)
    for block in rows.split(BLOCK, 1):
        mixed = mix @ block
        products += (mixed @ mixed.T).to(where)
    return products.cpu()


def gradient_moments(products: Float[Tensor, "*steps K1 K1"]) -> GradientMoments:
    """The moments of K ≥ 4 gradients, from the inner products of their mean and their deviations from it."""
    square, along, centred = products[..., 0, 0], products[..., 0, 1:], products[..., 1:, 1:]
    count = centred.shape[-1]
    distance = centred.diagonal(dim1=-2, dim2=-1)
    total = distance.sum(-1)
    noise = total / (count - 1)
    noises = (total[..., None] - count / (count - 1) * distance) / (count - 2)  # with one gradient left out
    squares = square[..., None] - 2 * along / (count - 1) + distance / (count - 1) ** 2
    without = torch.stack([squares - noises / (count - 1), noises], -2)
    excess = 2 * trace_of_squared_covariance(centred) / ((count - 1) * (count - 2))
    return GradientMoments(
        square - noise / count, noise, jackknife_covariance(without), excess, torch.full_like(noise, count)
    )


def jackknife_covariance(without: Float[Tensor, "*steps S K"]) -> Float[Tensor, "*steps S S"]:
    """The jackknife covariance of S statistics, from their values with each of the K data left out."""
    count = without.shape[-1]
    deviation = without - without.mean(-1, keepdim=True)
    return (count - 1) / count * deviation @ deviation.mT


def trace_of_squared_covariance(centred: Float[Tensor, "*steps K K"]) -> Float[Tensor, "*steps"]:
    """An estimate of tr Σ² from the inner products of K ≥ 4 vectors minus their mean.

    Unbiased for any distribution: the mean of ((g_i − g_j)·(g_k − g_l))²/4 over different i, j, k, l, in closed form
    (Himeno and Yamada 2014, J. Multivariate Anal. 130, 27-38, eq. 2.2).
    """
    count = centred.shape[-1]
    distance = centred.diagonal(dim1=-2, dim2=-1)
    squares = centred.square().sum((-2, -1)) * (count - 2) / (count - 1)
    squares = squares + (distance.sum(-1) / (count - 1)).square() - count / (count - 1) * distance.square().sum(-1)
    return (count - 1) / (count * (count - 2) * (count - 3)) * squares


class PooledMoments(NamedTuple):
    """Means of the moments over independent steps.

    Attributes:
        signal: the mean of the estimates of ‖G‖².
        noise: the mean of the estimates of tr Σ.
        covariance: the covariance of these two means.
        count: the harmonic mean of K, for which noise/count is the mean of tr Σ/K.
        degrees: degrees of freedom of `covariance`.
    """

    signal: Float[Tensor, "*studies"]
    noise: Float[Tensor, "*studies"]
    covariance: Float[Tensor, "*studies 2 2"]
    count: Float[Tensor, "*studies"]
    degrees: Float[Tensor, "*studies"]


def pooled(steps: GradientMoments) -> PooledMoments:
    """The means over the first axis, steps, with their covariance.

    What the jackknife counts too much is taken away, but at most the largest share that it can have, K/(2(K − 1)), so
    that the covariance stays positive. The degrees of freedom are half of Σ (K − 1): a variance that is estimated from
    squares of normal numbers is less certain than one from the numbers.
    """
    length = len(steps.signal)
    covariance, excess = steps.covariance.sum(0) / length**2, steps.excess.sum(0) / length**2
    count = length / (1 / steps.count).sum(0)
    determinant = covariance[..., 0, 0] * covariance[..., 1, 1] - covariance[..., 0, 1].square()
    spread = covariance.sum((-2, -1)).clamp(min=torch.finfo(covariance.dtype).tiny)
    excess = torch.minimum(excess, (determinant / spread).clamp(min=0.0) * count / (2 * (count - 1)))
    sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=covariance.dtype)
    return PooledMoments(
        signal=steps.signal.mean(0),
        noise=steps.noise.mean(0),
        covariance=covariance - excess[..., None, None] * sign,
        count=count,
        degrees=(steps.count - 1).sum(0) / 2,
    )
