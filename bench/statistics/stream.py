"""Summarises a stream of estimates: moments, batch means and a few numbers per replicate.

Memory does not grow with P × R. Kept are, per coordinate, four moments, 64 batch means and the means of at most 64
groups of whole chunks; per replicate and block, three doubles. The batch means give the covariance of the mean (as a
64 × 64 Gram matrix), the groups show whether replicates are independent, and the numbers per replicate give the
intervals of the trace, of the mean squared error and of the projection on the exact gradient.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.statistics.block import Against, Block
from bench.statistics.chunk_sums import BATCHES, Batching, ChunkSums, row_distances
from bench.statistics.moments import Moments, Vector

MAX_GROUPS = 64
"""The largest number of groups of whole chunks; when it is reached, neighbours are merged."""

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
        self._leaves = set(parts) if tiled else set(blocks)
        self.target, self.error = target, error
        self.size = np.zeros(self.dim) if size is None else size
        self.nonfinite = self.drawn = 0
        self._before, self.fresh = Moments.none(self.dim), Moments.none(self.dim)
        self._sums, self._counts = torch.zeros(BATCHES, self.dim, dtype=torch.float64), np.zeros(BATCHES)
        self._spreads = {name: np.zeros(BATCHES) for name in blocks}
        self._scalars: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in blocks}
        self._centre: Vector | None = None
        self._groups: list[tuple[Vector, int]] = []
        self._chunks, self._per_group, self._within = 0, 1, np.zeros(self.dim)

    def add(self, chunk: Float[Tensor, "R P"]) -> None:
        """Adds a chunk; estimates with a NaN or an infinity are counted and left out."""
        x = chunk.detach().double()
        batch, left_out = Batching.of(self.drawn, len(x)), _nonfinite_rows(x)
        self.drawn += len(x)
        if left_out is not None:
            self.nonfinite += int(left_out.sum())
            x, batch = x[~left_out], batch.without(left_out)
            if not len(x):
                return
        self._sums = self._sums.to(x.device)
        sums = ChunkSums.of(x, batch.add_rows(self._sums, x) / len(x))
        self.fresh = self.fresh + sums.moments
        self._within = self._within + sums.moments.m2
        self._add_group(sums.moments.mean * len(x), len(x))
        if self._centre is None:
            self._centre = sums.moments.mean
        self._counts += batch.counts()
        self._add_scalars(sums, batch)

    @property
    def total(self) -> Moments:
        """The moments of all stages."""
        return self._before + self.fresh

    def look(self) -> None:
        """Starts a new stage, with its own moments and with distances from the best mean so far."""
        self._before, self.fresh = self.total, Moments.none(self.dim)
        self._centre = self._before.mean if self._before.count else None

    def block(self, name: str) -> Block:
        """The statistics of one block."""
        where = self.blocks[name]
        scalars = {key: np.concatenate(parts) for key, parts in self._scalars[name].items()}
        filled = self._counts > 0
        counts = self._counts[filled]
        return Block(
            moments=self.total[where],
            fresh=self.fresh[where],
            batches=self._sums.cpu().numpy()[filled][:, where] / counts[:, None],
            batch_spread=self._spreads[name][filled] / counts,
            distances=scalars["distance"],
            groups=np.array([total[where] / count for total, count in self._groups]),
            chunks=self._chunks,
            within=self._within[where],
            group_counts=np.array([float(count) for _, count in self._groups]),
            against=self._against(where, scalars),
        )

    def coordinate(self, index: int) -> str:
        """The name of a coordinate: its block and its index in the block.

        >>> Replicates({"all": slice(0, 3), "loc": slice(0, 2), "scale": slice(2, 3)}, None, None).coordinate(1)
        'loc[1]'
        """
        own = {name: where for name, where in self.blocks.items() if where.start <= index < where.stop}
        name = next((name for name in own if name != "all"), self.only)
        return f"{name}[{index - own.get(name, slice(0, 0)).start}]"

    def _against(self, where: slice, scalars: dict[str, np.ndarray]) -> Against | None:
        if self.target is None or self.error is None:
            return None
        return Against(self.target[where], self.error[where], scalars["along"], scalars["squared"], self.size[where])

    def _add_group(self, total: Vector, count: int) -> None:
        """Adds a chunk to the last group or to a new group; merges pairs of groups when there are too many."""
        if self._chunks % self._per_group == 0:
            self._groups.append((total, count))
        else:
            before, counted = self._groups[-1]
            self._groups[-1] = before + total, counted + count
        self._chunks += 1
        if len(self._groups) == MAX_GROUPS and self._chunks % self._per_group == 0:
            pairs = zip(self._groups[::2], self._groups[1::2], strict=True)
            self._groups = [(a + b, m + n) for (a, m), (b, n) in pairs]
            self._per_group *= 2

    def _add_scalars(self, sums: ChunkSums, batch: Batching) -> None:
        """Adds the numbers per replicate of each block."""
        leaves = {name: where for name, where in self.blocks.items() if name in self._leaves}
        found = {name: self._scalars_of(sums, where) for name, where in leaves.items()}
        for name, where in self.blocks.items():
            own = found[name] if name in found else torch.stack([*found.values()]).sum(0)
            self._keep(name, where, own.cpu().numpy(), batch)

    def _scalars_of(self, sums: ChunkSums, where: slice) -> Float[Tensor, "K R"]:
        """For each replicate in one block: its squared distance from the centre and, with a target, its squared error
        and the product of its error with the target."""
        lengths = sums.lengths(where)
        rows = [row_distances(sums, sums.mean.new_tensor(self._centre), lengths, where)]
        if self.target is not None:
            target = sums.mean.new_tensor(self.target)
            rows.append(row_distances(sums, target, lengths, where))
            rows.append(sums.along(target, where) + (sums.mean - target)[where] @ target[where])
        return torch.stack(rows)

    def _keep(self, name: str, where: slice, rows: np.ndarray, batch: Batching) -> None:
        scalars = self._scalars[name]
        scalars.setdefault("distance", []).append(rows[0])
        self._spreads[name] += batch.sums(rows[0])
        if self.target is not None:
            length = float(np.linalg.norm(self.target[where]))
            scalars.setdefault("squared", []).append(rows[1])
            scalars.setdefault("along", []).append(rows[2] / length if length > 0 else np.zeros(len(rows[2])))


def _nonfinite_rows(x: Tensor) -> Tensor | None:
    """Which rows hold a NaN, an infinity or a coordinate beyond `HUGE`; None where no row does."""
    low, high = x.aminmax()
    if bool((low >= -HUGE) & (high <= HUGE)):  # False for a NaN
        return None
    return ~(x.abs().amax(1) <= HUGE)
