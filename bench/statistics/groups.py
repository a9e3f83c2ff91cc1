"""Groups of whole chunks of estimates: their totals show whether the replicates of a chunk depend on each other."""

from dataclasses import dataclass, field

import numpy as np

from bench.statistics.moments import Vector

MAX_GROUPS, FEWEST_GROUPS = 64, 16
"""The largest number of groups, when neighbours are merged; a quarter of it where P is large."""

MANY_PARAMETERS = 2**16
"""From this number of parameters on, there are at most `FEWEST_GROUPS` groups: at a million they take 0.1 GB."""


@dataclass
class Groups:
    """Totals of groups of consecutive chunks, in the order of the chunks; all but the last have equally many chunks.

    >>> groups = Groups(1)
    >>> for each in (1.0, 2.0, 6.0):
    ...     groups.add(np.array([each]), 2)
    >>> groups.variance, groups.whole, groups.size
    (array([1.75]), 3, 2)
    """

    dim: int
    chunks: int = 0
    totals: list[Vector] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    per_group: int = 1

    @property
    def most(self) -> int:
        """The number of groups at which neighbours are merged."""
        return MAX_GROUPS if self.dim < MANY_PARAMETERS else FEWEST_GROUPS

    def add(self, total: Vector, count: int) -> None:
        """Adds a chunk of `count` estimates with this sum."""
        if self.chunks % self.per_group == 0:
            self.totals.append(total)
            self.counts.append(count)
        else:
            self.totals[-1] += total
            self.counts[-1] += count
        self.chunks += 1
        if len(self.totals) == self.most and self.chunks % self.per_group == 0:
            self.merge()

    def merge(self) -> None:
        """Merges pairs of groups."""
        for odd in range(1, len(self.totals), 2):
            self.totals[odd - 1] += self.totals[odd]
        self.totals, self.per_group = self.totals[::2], 2 * self.per_group
        self.counts = [a + b for a, b in zip(self.counts[::2], self.counts[1::2], strict=True)]

    @property
    def size(self) -> int:
        """The number of estimates in a whole group."""
        return max(self.counts, default=0)

    @property
    def whole(self) -> int:
        """The number of whole groups."""
        return self.counts.count(self.size)

    def __getitem__(self, where: slice) -> "Groups":
        """The same groups in some of the coordinates, without copies."""
        return Groups(self.dim, self.chunks, [each[where] for each in self.totals], self.counts, self.per_group)

    @property
    def variance(self) -> Vector:
        """The variance over the means of the whole groups, of which there must be two."""
        pairs = zip(self.totals, self.counts, strict=True)
        whole = [total for total, count in pairs if count == self.size]
        centre = sum(whole[1:], start=whole[0]) / (self.size * len(whole))
        squares = np.zeros_like(centre)
        for total in whole:
            squares += (total / self.size - centre) ** 2
        return squares / (len(whole) - 1)
