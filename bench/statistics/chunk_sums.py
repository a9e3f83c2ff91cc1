"""What is kept of one chunk of estimates, in as few passes over its numbers as possible.

A pass over a chunk takes as long as an elementwise operation of the estimator that made it. The batch sums give the
mean, and the centred values give the powers. A row's squared distance from a centre c follows from its centred square
and one product: |x − c|² = |x − m|² + 2 (x − m)·(m − c) + |m − c|², where m is the mean of the chunk.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.statistics.moments import Moments, power_sums


@dataclass(frozen=True)
class ChunkSums:
    """The central moments of R estimates with P coordinates, and the numbers of each row."""

    moments: Moments
    mean: Float[Tensor, " P"]
    centred: Float[Tensor, "R P"]
    square: Float[Tensor, "R P"]

    @classmethod
    def of(cls, x: Float[Tensor, "R P"], mean: Float[Tensor, " P"]) -> "ChunkSums":
        """The sums of a chunk whose mean is known."""
        centred = x - mean
        square = centred.square()
        found = torch.stack([mean, *power_sums(centred, square)]).cpu().numpy()
        return cls(Moments(len(x), *found), mean, centred, square)

    def lengths(self, where: slice) -> Float[Tensor, " R"]:
        """The squared distance of each row from the mean, in the coordinates `where`."""
        return self.square[:, where].sum(1)

    def along(self, vector: Float[Tensor, " P"], where: slice) -> Float[Tensor, " R"]:
        """The product of each row's distance from the mean with a vector, in the coordinates `where`."""
        return self.centred[:, where] @ vector[where]


def row_distances(
    sums: ChunkSums, centre: Float[Tensor, " P"], lengths: Float[Tensor, " R"], where: slice
) -> Float[Tensor, " R"]:
    """The squared distance of each row from `centre` in the coordinates `where`, given those from the mean.

    >>> x = torch.tensor([[1.0, 2.0], [5.0, 4.0]], dtype=torch.float64)
    >>> sums, both = ChunkSums.of(x, x.mean(0)), slice(0, 2)
    >>> row_distances(sums, torch.tensor([1.0, 1.0], dtype=torch.float64), sums.lengths(both), both)
    tensor([ 1., 25.], dtype=torch.float64)
    """
    offset = sums.mean - centre
    shifted = lengths + 2 * sums.along(offset, where) + offset[where].square().sum()
    return shifted.clamp(min=0)


BATCHES = 64


@dataclass(frozen=True)
class Batching:
    """The batch of each of R rows; `slots` is None if the rows are `BATCHES` contiguous runs of equal length."""

    rows: int
    slots: np.ndarray | None

    @classmethod
    def of(cls, before: int, rows: int) -> "Batching":
        """The batches of a chunk: contiguous runs, or one after the other where a chunk has fewer rows than batches.

        `before`: the number of rows of earlier chunks.
        """
        if rows % BATCHES == 0:
            return cls(rows, None)
        if rows < BATCHES:
            return cls(rows, (before + np.arange(rows)) % BATCHES)
        return cls(rows, np.arange(rows) * BATCHES // rows)

    def without(self, left_out: Tensor) -> "Batching":
        """The batches of the rows that are kept."""
        slots = np.arange(self.rows) * BATCHES // self.rows if self.slots is None else self.slots
        kept = slots[~left_out.cpu().numpy()]
        return Batching(len(kept), kept)

    def add_rows(self, sums: Float[Tensor, "B P"], x: Float[Tensor, "R P"]) -> Float[Tensor, " P"]:
        """Adds the rows to the sum of their batch, in an order that does not vary on any device; returns their sum."""
        if self.slots is None:
            own = x.reshape(BATCHES, -1, x.shape[1]).sum(1)
            sums += own
            return own.sum(0)
        slots = torch.as_tensor(self.slots, device=x.device)
        if len(x) < BATCHES and len(np.unique(self.slots)) == len(x):
            sums.index_add_(0, slots, x)
        else:
            member = torch.arange(BATCHES, device=x.device)[:, None] == slots
            sums += member.to(x.dtype) @ x
        return x.sum(0)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of one number per row in each batch."""
        if self.slots is None:
            return values.reshape(BATCHES, -1).sum(1)
        return np.bincount(self.slots, values, minlength=BATCHES)

    def counts(self) -> np.ndarray:
        """The number of rows in each batch."""
        return self.sums(np.ones(self.rows))
