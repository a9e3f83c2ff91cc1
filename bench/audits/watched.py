"""The summary of a stream from elsewhere, which also looks for values that are not finite and for rows that repeat."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bench.statistics.moments import Vector
from bench.statistics.repeats import repeated_rows, row_prints
from bench.statistics.stream import Replicates


class WatchedReplicates(Replicates):
    """`Replicates` of one block that keeps a hash of each row. `target`: the exact gradient, `[P]`, or None."""

    def __init__(self, dim: int, target: Vector | None) -> None:
        super().__init__({"all": slice(0, dim)}, target, None if target is None else np.zeros(dim))
        self.first_bad: int | None = None
        """The first row with a value that is not finite."""
        self._prints: list[np.ndarray] = []

    def add(self, chunk: Float[Tensor, "R P"]) -> None:
        """Adds a chunk; see `Replicates.add`."""
        bad = (~chunk.isfinite().all(1)).nonzero()
        if self.first_bad is None and len(bad):
            self.first_bad = self.drawn + int(bad[0])
        self._prints.append(row_prints(chunk.cpu().numpy()))
        super().add(chunk)

    def fault(self) -> str | None:
        """Returns a sentence if rows repeat or are not finite, else None."""
        if self.first_bad is not None:
            return f"estimates that are not finite: {self.nonfinite} of {self.drawn}; the first is row {self.first_bad}"
        return repeated_rows(np.concatenate(self._prints)) if self._prints else None
