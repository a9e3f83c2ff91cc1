"""The means of B batches of estimates with P coordinates, kept as sums: nothing of size B × P is copied.

At a million parameters 64 batches take 0.5 GB, so what is computed of them takes a tile of coordinates at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

TILE = 2**13
"""Coordinates in a tile: 64 batch means of them take 4 MiB."""

HALF_THE_DIGITS = 1e-6
"""Singular values above this part of the largest are known from the Gram matrix, to 1e-4 of themselves or better."""


@dataclass(frozen=True, eq=False)
class BatchMeans:
    """B batch means of P coordinates: `sums` divided by `counts`, an entry per batch.

    It reads the sums of the stream that made it, and is valid until that stream gets its next chunk.

    >>> means = BatchMeans(np.array([[2.0, 4.0], [9.0, 3.0]]), np.array([2.0, 3.0]))
    >>> means @ np.array([1.0, 1.0])
    array([3., 4.])
    """

    sums: Float[np.ndarray, "B P"]
    counts: Float[np.ndarray, " B"]

    @classmethod
    def of(cls, means: Float[np.ndarray, "B P"]) -> "BatchMeans":
        """Batch means that are known as numbers."""
        return cls(means, np.ones(len(means)))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def dim(self) -> int:
        """The number of coordinates, P."""
        return self.sums.shape[1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All means as one array: `np.asarray(means)`."""
        return np.asarray(self.sums / self.counts[:, None], dtype)

    def tiles(self) -> Iterator[tuple[slice, Float[np.ndarray, "B c"]]]:
        """The means of some coordinates after the other."""
        for start in range(0, self.dim, TILE):
            where = slice(start, start + TILE)
            yield where, self.sums[:, where] / self.counts[:, None]

    def across(self, u: Float[np.ndarray, " P"] | None) -> Iterator[tuple[slice, Float[np.ndarray, "B c"]]]:
        """The tiles without the part of each batch mean along the unit vector u; all of it without a vector."""
        along = self @ u if u is not None else None
        for where, means in self.tiles():
            yield where, means if u is None or along is None else means - along[:, None] * u[where]

    def __matmul__(self, vectors: Float[np.ndarray, "P *k"]) -> Float[np.ndarray, "B *k"]:
        return self.products(vectors)

    def products(
        self, vectors: Float[np.ndarray, "P *k"], without: Float[np.ndarray, " P"] | None = None
    ) -> Float[np.ndarray, "B *k"]:
        """The product of each batch mean with one or more vectors; of its part across the unit vector `without`."""
        total = np.zeros((len(self), *vectors.shape[1:]))
        for where, means in self.across(without):
            total += means @ vectors[where]
        return total

    def gram(self, u: Float[np.ndarray, " P"] | None = None) -> Float[np.ndarray, "B B"]:
        """The Gram matrix of the centred batch means; with a unit vector u, of their parts across u."""
        total = np.zeros((len(self), len(self)))
        for _, means in self.across(u):
            centred = means - means.mean(0)
            total += centred @ centred.T
        return total

    def spread(self, u: Float[np.ndarray, " P"] | None = None) -> Float[np.ndarray, " P"]:
        """The standard deviation of each coordinate over the batches; with a unit vector u, of the parts across u."""
        return np.concatenate([means.std(0, ddof=1) for _, means in self.across(u)])

    def centred(self, kept: Bool[np.ndarray, " P"]) -> Iterator[Float[np.ndarray, "B c"]]:
        """The centred batch means in the coordinates `kept`, some after the other."""
        for where, means in self.tiles():
            some = means[:, kept[where]]
            yield some - some.mean(0)

    def spectrum(self, kept: Bool[np.ndarray, " P"]) -> tuple[np.ndarray, Float[np.ndarray, " k"]]:
        """The left singular vectors `[B, k]` and singular values, largest first, of the centred means in `kept`.

        k is the largest possible rank. The Gram matrix gives them with half of the digits, which is enough where all
        are large; elsewhere they come from a triangular factor, to all digits.
        """
        most = min(len(self) - 1, int(kept.sum()))
        squares, left = np.linalg.eigh(sum(each @ each.T for each in self.centred(kept)))
        values = np.sqrt(np.maximum(squares[::-1], 0.0))[:most]
        if values[-1] > HALF_THE_DIGITS * values[0]:
            return left[:, ::-1][:, :most], values
        triangle: np.ndarray = np.zeros((0, len(self)))
        for each in self.centred(kept):
            _, triangle = np.linalg.qr(np.concatenate([triangle, each.T]))
        left, values, _ = np.linalg.svd(triangle.T, full_matrices=False)
        return left[:, :most], values[:most]

    def directions(
        self, kept: Bool[np.ndarray, " P"], left: Float[np.ndarray, "B k"], values: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, "k p"]:
        """Orthonormal rows: the right singular vectors of the centred means in `kept`, for some of the left ones."""
        rows = np.concatenate([left.T @ each for each in self.centred(kept)], 1) / values[:, None]
        orthonormal, _ = np.linalg.qr(rows.T)
        return orthonormal.T
