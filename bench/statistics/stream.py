"""Summarises a stream of estimates: moments, batch means and a few numbers per replicate.

Memory does not grow with P × R. Kept are, per coordinate, four moments, 64 batch means, the means of at most 64
groups of whole chunks (16 where P is large), and the estimates of small chunks, at most 16; per replicate and block,
three doubles. The batch means give the covariance of the mean (as a 64 × 64 Gram matrix), the groups show whether
replicates are independent, and the numbers per replicate give the intervals of the trace, of the mean squared error and
of the projection on the exact gradient.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.statistics.batch_means import BatchMeans
from bench.statistics.block import Against, Block
from bench.statistics.chunk_sums import BATCHES, Batching, RowNumbers, own_products, row_numbers, tile_sums, tiles
from bench.statistics.groups import Groups
from bench.statistics.moments import Moments, RunningMoments, Vector

POOLED = 16
"""Chunks of fewer estimates are added together, that many estimates at a time: each sum reads and writes all moments,
and the furthest of one estimate from its own mean says nothing."""

HUGE = 1e70
"""An estimate with a larger coordinate counts as not finite: its fourth power may overflow."""


class Replicates:
    """Accepts chunks of estimates `[R, P]`, with R a power of two, and returns the statistics of each block.

    Args:
        blocks: The coordinates of each block, by name.
        target: The exact gradient, `[P]`, or None.
        error: Its error, `[P]`, or None.
        size: See `Against`. Default: zero.
        only: Name of the parameter where there is a single one.

    >>> kept = Replicates({"all": slice(0, 3)}, target=np.zeros(3), error=np.zeros(3))
    >>> kept.add(torch.randn(128, 3, generator=torch.Generator().manual_seed(0)))
    >>> kept.block("all").count
    128
    """

    def __init__(
        self,
        blocks: dict[str, slice],
        target: Vector | None,
        error: Vector | None,
        size: Vector | None = None,
        only: str = "coordinate ",
    ) -> None:
        self.blocks, self.only = blocks, only
        self.dim = max(block.stop for block in blocks.values())
        parts = {name: block for name, block in blocks.items() if name != "all"}
        tiled = sum(block.stop - block.start for block in parts.values()) == self.dim
        self._leaves = [*parts] if tiled else [*blocks]
        self.target, self.error = target, error
        self.size = np.zeros(self.dim) if size is None else size
        self._lengths = {name: self._length(where) for name, where in blocks.items()}
        self.drawn = self._added = self._nonfinite = 0
        self._before, self._fresh = Moments.none(self.dim), RunningMoments(self.dim)
        self._sums, self._counts = torch.zeros(BATCHES, self.dim, dtype=torch.float64), np.zeros(BATCHES)
        self._spreads = {name: np.zeros(BATCHES) for name in blocks}
        self._numbers = {name: RowNumbers(1 if target is None else 3) for name in blocks}
        self._centre: Vector | None = None
        self._groups, self._within = Groups(self.dim), np.zeros(self.dim)
        self._pool: Tensor | None = None
        self._pooled = 0
        self._found: dict[str, Block] = {}

    def add(self, chunk: Float[Tensor, "R P"]) -> None:
        """Adds a chunk; estimates with a NaN or an infinity are counted and left out."""
        chunk = chunk.detach()
        self.drawn += len(chunk)
        if len(chunk) >= POOLED:
            self._flush()
            self._add(chunk)
            return
        if self._pool is None:
            self._pool = chunk.new_empty(POOLED, self.dim)
        if self._pooled + len(chunk) > POOLED:
            self._flush()
        self._pool[self._pooled : self._pooled + len(chunk)] = chunk
        self._pooled += len(chunk)
        if self._pooled == POOLED:
            self._flush()

    def _flush(self) -> None:
        """Adds the estimates of small chunks that wait for others."""
        if self._pool is not None and self._pooled:
            rows, self._pooled = self._pooled, 0
            self._add(self._pool[:rows])

    def _add(self, x: Float[Tensor, "R P"]) -> None:
        batch, left_out = Batching.of(self._added, len(x)), nonfinite_rows(x)
        self._added += len(x)
        self._found = {}
        if left_out is not None:
            self._nonfinite += int(left_out.sum())
            x, batch = x[~left_out], batch.without(left_out)
            if not len(x):
                return
        self._counts += batch.counts()
        self._add_numbers(self._add_tiles(x, batch), batch)

    @property
    def nonfinite(self) -> int:
        """The number of estimates that were left out."""
        self._flush()
        return self._nonfinite

    @property
    def fresh(self) -> Moments:
        """The moments of the last stage."""
        self._flush()
        return self._fresh.moments

    @property
    def total(self) -> Moments:
        """The moments of all stages."""
        return self._before + self.fresh

    @property
    def count(self) -> int:
        """The number of estimates that were not left out."""
        return self._before.count + self.fresh.count

    def look(self) -> None:
        """Starts a new stage, with its own moments and with distances from the best mean so far."""
        self._before, self._fresh = self.total, RunningMoments(self.dim)
        self._centre = self._before.mean if self._before.count else None
        self._found = {}

    def block(self, name: str) -> Block:
        """The statistics of one block, valid until the next chunk."""
        self._flush()
        if name not in self._found:
            self._found[name] = self._block(name)
        return self._found[name]

    def _block(self, name: str) -> Block:
        where, numbers = self.blocks[name], self._numbers[name].values
        filled = self._counts > 0
        every, counts = self._sums.cpu().numpy(), self._counts[filled]
        fresh = self._fresh.moments[where]
        return Block(
            moments=self._before[where] + fresh,
            fresh=fresh,
            batches=BatchMeans((every if filled.all() else every[filled])[:, where], counts),
            batch_spread=self._spreads[name][filled] / counts,
            distances=numbers[0],
            groups=self._groups[where],
            within=self._within[where],
            against=self._against(where, numbers),
        )

    def coordinate(self, index: int) -> str:
        """The name of a coordinate: its block and its index in the block.

        >>> Replicates({"all": slice(0, 3), "loc": slice(0, 2), "scale": slice(2, 3)}, None, None).coordinate(1)
        'loc[1]'
        """
        own = {name: where for name, where in self.blocks.items() if where.start <= index < where.stop}
        name = next((name for name in own if name != "all"), self.only)
        return f"{name}[{index - own.get(name, slice(0, 0)).start}]"

    def _against(self, where: slice, numbers: Float[np.ndarray, "k R"]) -> Against | None:
        if self.target is None or self.error is None:
            return None
        return Against(self.target[where], self.error[where], numbers[2], numbers[1], self.size[where])

    def _add_tiles(self, x: Float[Tensor, "R P"], batch: Batching) -> Float[np.ndarray, "leaves k R"]:
        """Adds the sums over the rows; returns the numbers of each row in each leaf."""
        leaves, total, seen = [self.blocks[name] for name in self._leaves], np.empty(self.dim), len(x)
        kinds = 1 if self.target is None else 3
        rows = x.new_zeros(len(leaves), 1 + kinds, seen, dtype=torch.float64)
        offsets = np.zeros((len(leaves), kinds))
        first = self._centre is None
        centre = self._centre = np.empty(self.dim) if self._centre is None else self._centre
        self._sums = self._sums.to(x.device)
        for where, pieces in tiles(seen, self.dim, leaves):
            part = x[:, where].double()
            mean = batch.add_rows(self._sums[:, where], part) / seen
            own = mean.cpu().numpy()
            if first:
                centre[where] = own
            vectors = self._vectors(own, centre[where], where)
            sums, products = tile_sums(part, mean, torch.from_numpy(vectors).to(x.device), pieces)
            found = np.concatenate([own[None], sums.cpu().numpy()])
            self._fresh.add(seen, found, where)
            self._within[where] += found[1]
            total[where] = seen * own
            for each, (leaf, at) in zip(products, pieces, strict=True):
                rows[leaf] += each
                offsets[leaf] += own_products(vectors[:, at])
        self._fresh.counted(seen)
        self._groups.add(total, seen)
        return row_numbers(rows.cpu().numpy(), offsets)

    def _vectors(self, mean: Vector, centre: Vector, where: slice) -> Float[np.ndarray, "k c"]:
        """The mean's offsets from the centre and, with a target, from the target, and the target, in a tile."""
        if self.target is None:
            return (mean - centre)[None]
        return np.stack([mean - centre, mean - self.target[where], self.target[where]])

    def _length(self, where: slice) -> float:
        """The norm of the exact gradient in some coordinates; 0 without one."""
        return 0.0 if self.target is None else float(np.linalg.norm(self.target[where]))

    def _add_numbers(self, found: Float[np.ndarray, "leaves k R"], batch: Batching) -> None:
        """Adds the numbers per replicate of each block."""
        for name in self.blocks:
            own = found[self._leaves.index(name)] if name in self._leaves else found.sum(0)
            self._spreads[name] += batch.sums(own[0])
            self._numbers[name].add(own, self._lengths[name])


def nonfinite_rows(x: Tensor) -> Tensor | None:
    """Which rows hold a NaN, an infinity or a coordinate beyond `HUGE`; None where no row does."""
    low, high = (end.double() for end in x.aminmax())
    if bool((low >= -HUGE) & (high <= HUGE)):  # False for a NaN
        return None
    return ~(x.double().abs().amax(1) <= HUGE)
