"""What is kept of one chunk of estimates, in as few passes over its numbers as possible.

A pass over a chunk takes as long as an elementwise operation of the estimator that made it. The batch sums give the
mean, and the centred values give the powers. A row's squared distance from a centre c follows from its centred square
and one product: |x − c|² = |x − m|² + 2 (x − m)·(m − c) + |m − c|², where m is the mean of the chunk.

A chunk is read in tiles of coordinates that stay in the cache: nothing else of its size is made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.statistics.moments import power_sums

TILE_NUMBERS, NARROWEST = 2**17, 256
"""Numbers in a tile, about, and its fewest coordinates; all tiles are equally wide."""

BlockInTile = tuple[int, slice]
"""The number of a block, and its coordinates in a tile."""


def tiles(rows: int, dim: int, blocks: Sequence[slice]) -> Iterator[tuple[slice, tuple[BlockInTile, ...]]]:
    """The tiles of `rows` estimates with `dim` coordinates: the coordinates of each, and the blocks' places in it.

    >>> [*tiles(2**16, 600, [slice(0, 100), slice(100, 600)])]
    [(slice(0, 300, None), ((0, slice(0, 100, None)), (1, slice(100, 300, None)))), \
(slice(300, 600, None), ((1, slice(0, 300, None)),))]
    """
    width = ceil(dim / max(round(dim / max(TILE_NUMBERS // rows, NARROWEST)), 1))
    for start in range(0, dim, width):
        stop = min(start + width, dim)
        inside = ((i, slice(max(b.start, start) - start, min(b.stop, stop) - start)) for i, b in enumerate(blocks))
        yield slice(start, stop), tuple(piece for piece in inside if piece[1].start < piece[1].stop)


def tile_sums(
    x: Float[Tensor, "R c"], mean: Float[Tensor, " c"], vectors: Float[Tensor, "k c"], pieces: tuple[BlockInTile, ...]
) -> tuple[Float[Tensor, "4 c"], Float[Tensor, "pieces kinds R"]]:
    """The sums over the rows and over the coordinates of a tile whose mean is known.

    Returns:
        The sums of the centred powers and the largest square, as `power_sums` does; for each piece, each row's squared
        distance from the mean, and the products of its distance from the mean with the vectors.
    """
    centred = x - mean
    square = centred * centred
    rows = torch.stack([
        torch.stack([square[:, where].sum(1), *(centred[:, where] @ vector[where] for vector in vectors.unbind())])
        for _, where in pieces
    ])  # fmt: skip
    return torch.stack(power_sums(centred, square)), rows


def own_products(vectors: Float[np.ndarray, "k c"]) -> Float[np.ndarray, " k"]:
    """What `row_numbers` adds to the products of each row: |m − c|²; with a target g, also |m − g|² and ⟨m − g, g⟩.

    `vectors`: m − c, with the mean m and the centre c; with a target, also m − g and g.
    """
    offset, *errors = vectors
    return np.array([offset @ offset, *(each @ errors[0] for each in errors)])


def row_numbers(
    rows: Float[np.ndarray, "*n kinds R"], offsets: Float[np.ndarray, "*n k"]
) -> Float[np.ndarray, "*n k R"]:
    """The numbers of each row, from the sums of all tiles.

    Returns:
        Its squared distance from the centre and, with a target, its squared error, and the product of its error with
        the target.
    """
    found = rows[..., 1:, :] + offsets[..., None]
    found[..., :2, :] = np.maximum(rows[..., :1, :] + found[..., :2, :] + rows[..., 1:3, :], 0)
    return found


class RowNumbers:
    """A few numbers per replicate, in one array that doubles when it is full.

    Small arrays kept between large temporaries would keep the memory of these from being used again.

    >>> numbers = RowNumbers(3)
    >>> numbers.add(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), length=2.0)
    >>> numbers.values[2]
    array([2.5, 3. ])
    """

    def __init__(self, kinds: int) -> None:
        self._held, self._count = np.empty((kinds, 1024)), 0

    def add(self, rows: Float[np.ndarray, "k R"], length: float = 1.0) -> None:
        """Adds the numbers of R replicates; the third is a product with a vector of this length, divided by it."""
        end = self._count + rows.shape[1]
        if end > self._held.shape[1]:
            larger = np.empty((len(self._held), max(2 * self._held.shape[1], end)))
            larger[:, : self._count] = self.values
            self._held = larger
        self._held[:, self._count : end] = rows
        self._held[2:, self._count : end] *= 1 / length if length > 0 else 0.0
        self._count = end

    @property
    def values(self) -> Float[np.ndarray, "k R"]:
        """The numbers so far, without a copy."""
        return self._held[:, : self._count]


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

    @cached_property
    def apart(self) -> bool:
        """Whether each row has its own batch, so that their order does not matter."""
        return self.slots is not None and len(np.unique(self.slots)) == len(self.slots)

    def add_rows(self, sums: Float[Tensor, "B P"], x: Float[Tensor, "R P"]) -> Float[Tensor, " P"]:
        """Adds the rows to the sum of their batch, in an order that does not vary on any device; returns their sum."""
        if self.slots is None:
            own = x.reshape(BATCHES, -1, x.shape[1]).sum(1)
            sums += own
            return own.sum(0)
        slots = torch.as_tensor(self.slots, device=x.device)
        if self.apart:
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
