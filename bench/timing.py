"""The median time of a step, until it is known: knows nothing of estimators or devices, so a fake clock tests it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from estimators.errors import BadInput

BLOCK_SECONDS = 0.01
"""A block is long against the clock's resolution and the synchronisation at its end."""

BESIDE_SECONDS = 0.002
"""The same for what is timed between the blocks."""

FIRST_LOOK = 8
"""Blocks before the first look; each look has twice the blocks of the one before."""

Block = Callable[[int], float]
"""`block(number)` runs so many steps back to back and gives the seconds of all."""


@dataclass(frozen=True)
class ThroughputSettings:
    """When to stop: `precision`, half-width of the 95 % interval of the median, relative; or `max_seconds` have
    passed.

    `replicates` of a step; by the chunk rule where nothing is said.
    """

    precision: float = 0.01
    max_seconds: float = 2.0
    replicates: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise BadInput(f"precision must be between 0 and 1, found {self.precision}")
        if not self.max_seconds > 0:
            raise BadInput(f"max_seconds must be above 0, found {self.max_seconds}")
        if self.replicates is not None and self.replicates < 2:
            raise BadInput(f"replicates must be at least 2, found {self.replicates}")


@dataclass(frozen=True)
class Timing:
    """The median over blocks of the seconds of one step, with its 95 % interval; `beside`: the seconds of a step of
    what was timed between the blocks, in order."""

    median: float
    low: float
    high: float
    blocks: int
    stop_reason: str
    beside: list[float] = field(default_factory=list)

    @property
    def drift(self) -> float:
        """How much slower the machine was at the end than at the start, relative; 0 where it is not known."""
        return self.beside[-1] / self.beside[0] - 1 if len(self.beside) > 1 else 0.0


def timed(
    block: Block,
    settings: ThroughputSettings,
    beside: Block | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Rounds of blocks until the median is known or the time is up.

    The blocks double from one look to the next, and what is timed beside takes a block at each: looking after
    every block would stop on lucky intervals and cover the median in 92 % of cases instead of 95 %. The
    `clock` tells when the time is up: what a block runs without timing it counts.

    >>> timed(lambda number: 0.002 * number, ThroughputSettings()).median
    0.002
    """
    began = clock()
    own, others = _Repeated(block, BLOCK_SECONDS), [_Repeated(beside, BESIDE_SECONDS)] if beside else []
    look = FIRST_LOOK

    def left() -> bool:
        return clock() - began < settings.max_seconds

    while True:
        for other in others:
            other.add()
        while len(own.seconds) < look and (left() or not own.seconds):
            own.add()
        median, low, high = median_interval(own.seconds)
        known = len(own.seconds) == look and high - low <= 2 * settings.precision * median
        if known or not left():
            for other in others:
                other.add()
            beside_seconds = [seconds for other in others for seconds in other.seconds]
            return Timing(median, low, high, len(own.seconds), "precision" if known else "budget", beside_seconds)
        look *= 2


class _Repeated:
    """Blocks of one step, `target` seconds each: their seconds per step in order."""

    def __init__(self, block: Block, target: float) -> None:
        self._block = block
        first = block(1)
        self._number = max(1, ceil(target / max(first, 1e-9)))
        self.seconds = [first] if self._number == 1 else []

    def add(self) -> None:
        self.seconds.append(self._block(self._number) / self._number)


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median and a 95 % interval by order statistics (the whole range where fewer than six values are).

    >>> median_interval([3.0, 1.0, 2.0])
    (2.0, 1.0, 3.0)
    """
    from scipy.stats import binom  # takes long to import, and settings are read without it

    ordered = sorted(values)
    n = len(ordered)
    below = int(binom.ppf(0.025, n, 0.5))  # P(fewer than `below` values lie under the median) ≤ 2.5 %
    low = max(below - 1, 0)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle, ordered[low], ordered[n - 1 - low]
