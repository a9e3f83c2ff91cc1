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
        a, b = float(self.count), float(other.count)
        n = a + b
        step = other.mean - self.mean
        part = step / n
        square = step * part
        m2 = self.m2 + other.m2 + a * b * square
        m3 = self.m3 + other.m3 + part * (a * b * (a - b) * square + 3 * (a * other.m2 - b * self.m2))
        m4 = (
            self.m4
            + other.m4
            + (a * b * (a * a - a * b + b * b) / n) * square * square
            + part * (6 * part * (a * a * other.m2 + b * b * self.m2) + 4 * (a * other.m3 - b * self.m3))
        )
        count, furthest = self.count + other.count, np.maximum(self.furthest, other.furthest)
        return Moments(count, self.mean + part * b, m2, m3, m4, furthest)

    def __getitem__(self, coordinates: slice) -> "Moments":
        """The moments of some of the coordinates."""
        return Moments(self.count, *(value[coordinates] for value in self.each))

    @property
    def each(self) -> tuple[Vector, Vector, Vector, Vector, Vector]:
        """All arrays."""
        return self.mean, self.m2, self.m3, self.m4, self.furthest

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


class RunningMoments:
    """Moments that grow in place, some coordinates at a time: at a million of them, each array takes 8 MB."""

    def __init__(self, dim: int) -> None:
        self.count, self.values = 0, np.zeros((5, dim))

    def add(self, count: int, found: Float[np.ndarray, "5 c"], where: slice) -> None:
        """Adds `count` vectors in the coordinates `where`: mean, centred powers and furthest, as in `Moments`.

        `counted` ends the sum over all coordinates.
        """
        merged = Moments(self.count, *self.values[:, where]) + Moments(count, *found)
        for own, value in zip(self.values, merged.each, strict=True):
            own[where] = value

    def counted(self, count: int) -> None:
        """Counts `count` vectors, after `add` got all of their coordinates."""
        self.count += count

    @property
    def moments(self) -> Moments:
        """The moments so far, in arrays that change with the next vectors."""
        return Moments(self.count, *self.values)


def _ratio(above: Vector, below: Vector) -> Vector:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def centred_powers(x: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The mean, the sums of the centred 2nd, 3rd and 4th powers, and the largest centred square, all over axis 0."""
    mean = x.mean(0)
    centred = x - mean
    return mean, *power_sums(centred, centred * centred)


def power_sums(centred: Float[Tensor, "R P"], square: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sums of the 2nd, 3rd and 4th powers and the largest square, over axis 0; `square` is that of `centred`.

    Overwrites both.
    """
    second, largest = square.sum(0), square.amax(0)
    return second, centred.mul_(square).sum(0), square.mul_(square).sum(0), largest


def mean_and_spread(x: Float[Tensor, "R P"]) -> tuple[Tensor, Tensor]:
    """The mean and the sum of the centred squares over axis 0, in two passes.

    torch.var_mean over axis 0 takes many times as long on a CPU.
    """
    mean = x.mean(0)
    return mean, (x - mean).square().sum(0)
