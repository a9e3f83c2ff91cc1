"""Sources of estimates, in chunks of equal size: the rows of an array, or calls with a seed and a count."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bench.audits.arrays import as_estimates
from bench.provenance.seeds import chunk_seed
from estimators.errors import BadInput

STRIDE = 0x1E3779B1
"""Step between the seeds of two calls; odd, so that 2³¹ calls have different seeds, and large, so that they differ."""
CACHED = 2**28
"""Bytes of estimates that are kept to be read again."""


@runtime_checkable
class DrawFunction(Protocol):
    """`draw(seed, count)` returns `count` independent estimates, `[count, P]`, that depend on the seed."""

    def __call__(self, seed: int, count: int, /) -> Any: ...


class Source(ABC):
    """A source of estimates.

    `name`: begins a sentence about it. `dim`: P. `single`: whether the estimates are float32. `rows`: how many there
    are; None without an end. `count`: estimates in a chunk, once it is chosen; `most`: at most so many by default.
    """

    name: str
    dim: int
    single: bool
    rows: int | None = None
    count: int = 0
    most: int = 1024

    @abstractmethod
    def chunk(self, index: int, deadline: float) -> Tensor | None:
        """Chunk `index`, float64 `[count, P]`; None if it is not there by `deadline` (`time.monotonic()`)."""

    def exact(self) -> Any:
        """The exact gradient that the source itself names; None without one."""
        return None

    def close(self) -> None:  # noqa: B027 (most sources have started nothing)
        """Ends what the source has started; safe to call twice."""

    def _learn(self, array: np.ndarray) -> None:
        self.dim, self.single = array.shape[1], array.dtype.itemsize == 4


class ArraySource(Source):
    """The rows of an array, in order."""

    def __init__(self, array: Any, name: str) -> None:
        self.name, self._array = name, as_estimates(array, name)
        self._learn(self._array)
        self.rows = len(self._array)

    def chunk(self, index: int, deadline: float) -> Tensor | None:
        rows = self._array[index * self.count : (index + 1) * self.count]
        return torch.from_numpy(np.array(rows, dtype=np.float64))


@dataclass
class CalledSource(Source):
    """Estimates of `ask(seed, count, seconds)`, which returns an array, or None if that takes longer.

    `stage`: tells apart the seeds of several sources of one audit.
    """

    name: str
    ask: Callable[[int, int, float], Any]
    seed: int
    stage: str
    seconds: float
    ending: Callable[[], None] = lambda: None
    named: Any = None
    _kept: dict[int, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._start = chunk_seed(self.seed, f"audit {self.stage}", 0)
        array = self._asked(-2, 2, self.seconds)
        if array is None:
            raise BadInput(f"{self.name} did not give 2 estimates within {self.seconds:g} s; seconds sets the limit")
        self._learn(array)

    def chunk(self, index: int, deadline: float) -> Tensor | None:
        if index in self._kept:
            return self._kept[index]
        left = deadline - time.monotonic()
        array = self._asked(index, self.count, left) if left > 0 else None
        if array is None:
            return None
        found = torch.from_numpy(np.array(array, dtype=np.float64))
        if (len(self._kept) + 1) * found.nbytes <= CACHED:
            self._kept[index] = found
        return found

    def exact(self) -> Any:
        return self.named

    def close(self) -> None:
        self.ending()

    def _asked(self, index: int, count: int, seconds: float) -> np.ndarray | None:
        seed = (self._start + index * STRIDE) % 2**31
        found = self.ask(seed, count, seconds)
        where = f"what {self.name} gives for seed {seed} and count {count}"
        return None if found is None else as_estimates(found, where, count, getattr(self, "dim", None))
