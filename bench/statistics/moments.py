"""Central moments of many independent vectors, chunk by chunk.

The moments of a chunk take two passes (the mean, then centred powers). Chunks are merged in float64 by the pairwise
update formulas (Chan, Golub, LeVeque 1979; Pébay 2008, eq. 2.1 and 3.1), which are free of cancellation.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

Vector = Float[np.ndarray, " P"]


@dataclass(frozen=True)
class Moments:
    """Moments of vectors with P coordinates, per coordinate; `a + b` gives the moments of both sets of vectors.

    `count`: the number of vectors. `m2`, `m3`, `m4`: the sums of the centred 2nd, 3rd and 4th powers. `furthest`: the
    largest squared distance of a vector from the mean of its chunk.

    >>> import torch
    >>> left, right = Moments.of(torch.tensor([[1.0], [2.0]])), Moments.of(torch.tensor([[6.0]]))
    >>> (left + right).variance
    array([7.])
    """

    count: int
    mean: Vector
    m2: Vector
    m3: Vector
    m4: Vector
    furthest: Vector

    @classmethod
    def of(cls, chunk: Float[Tensor, "R P"]) -> "Moments":
        """The moments of one chunk of R vectors."""
        return Moments(len(chunk), *(value.cpu().numpy() for value in centred_powers(chunk.double())))

    @classmethod
    def none(cls, dim: int) -> "Moments":
        """The moments of no vectors: the start of a sum."""
        return Moments(0, *(np.zeros(dim) for _ in range(5)))

    def __add__(self, other: "Moments") -> "Moments":
        if not self.count or not other.count:
            return self if self.count else other
        a, b, n = self.count, other.count, self.count + other.count
        step = other.mean - self.mean
        m2 = self.m2 + other.m2 + step**2 * a * b / n
        m3 = self.m3 + other.m3 + step**3 * a * b * (a - b) / n**2 + 3 * step * (a * other.m2 - b * self.m2) / n
        m4 = (
            self.m4
            + other.m4
            + step**4 * a * b * (a * a - a * b + b * b) / n**3
            + 6 * step**2 * (a * a * other.m2 + b * b * self.m2) / n**2
            + 4 * step * (a * other.m3 - b * self.m3) / n
        )
        return Moments(n, self.mean + step * b / n, m2, m3, m4, np.maximum(self.furthest, other.furthest))

    def __getitem__(self, coordinates: slice) -> "Moments":
        """The moments of some of the coordinates."""
        each = (self.mean, self.m2, self.m3, self.m4, self.furthest)
        return Moments(self.count, *(value[coordinates] for value in each))

    @property
    def variance(self) -> Vector:
        """The variance per coordinate, with ddof = 1."""
        return self.m2 / (self.count - 1)

    @property
    def skewness(self) -> Vector:
        """Third standardised moment; 0 where there is no variance."""
        return _ratio(self.m3 / self.count, (self.m2 / self.count) ** 1.5)

    @property
    def kurtosis(self) -> Vector:
        """Fourth standardised moment: 3 for a normal; 1, the smallest possible value, where there is no variance."""
        return np.maximum(_ratio(self.m4 / self.count, (self.m2 / self.count) ** 2), 1.0)

    @property
    def largest_share(self) -> Vector:
        """The share of the furthest value in Σ (x² − σ²)², with x centred; at most 1."""
        variance = self.m2 / self.count
        return np.minimum(_ratio((self.furthest - variance) ** 2, self.m4 - self.count * variance**2), 1.0)


def _ratio(above: Vector, below: Vector) -> Vector:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def centred_powers(x: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The mean, the sums of the centred 2nd, 3rd and 4th powers, and the largest centred square, all over axis 0."""
    mean = x.mean(0)
    centred = x - mean
    return mean, *power_sums(centred, centred.square())


def power_sums(centred: Float[Tensor, "R P"], square: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sums of the 2nd, 3rd and 4th powers and the largest square, over axis 0; `square` is that of `centred`."""
    return square.sum(0), (square * centred).sum(0), square.square().sum(0), square.amax(0)


def mean_and_spread(x: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor]:
    """The mean and the sum of the centred squares over axis 0, in two passes.

    torch.var_mean over axis 0 takes many times as long on a CPU.
    """
    mean = x.mean(0)
    return mean, (x - mean).square().sum(0)
