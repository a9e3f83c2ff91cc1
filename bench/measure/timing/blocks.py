"""The median time of a step, until it is known: knows nothing of estimators or devices, so a fake clock tests it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import ceil, exp, log
from statistics import fmean, stdev
from statistics import median as median_of

from bench.statistics.interval import Interval
from bench.tables.visits import REPETITION, WITHIN
from estimators.errors import BadInput

MIN_BLOCK_SECONDS = 0.01
"""A block is long against the clock's resolution and the synchronisation at its end."""

BESIDE_SECONDS = 0.002
"""The same for what is timed between the blocks."""

FIRST_LOOK = 8
"""Blocks before the first look; each look has twice the blocks of the one before."""

TimedBlock = Callable[[int], float]
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
    """`seconds` of one step: the median with its 95 % interval. `beside`: seconds per step of the reference workload
    timed between the blocks, in order.

    `visits`: how many visits, spread over `span` seconds, the interval rests on. With a single visit (the default) it
    is the interval of the median of the blocks within that visit, and covers no repetition.
    """

    seconds: Interval
    blocks: int
    stop_reason: str
    beside: list[float] = field(default_factory=list)
    visits: int = 1
    span: float = 0.0

    @property
    def drift(self) -> float:
        """How much slower the machine was at the end than at the start, relative; 0 where it is not known."""
        return self.beside[-1] / self.beside[0] - 1 if len(self.beside) > 1 else 0.0

    @property
    def covers(self) -> str:
        """What the interval covers, for the row's method."""
        return f"{REPETITION}: {self.visits} visits over {self.span:.2g} s" if self.visits > 1 else WITHIN


VISITS = 5
"""How often a step is visited where other steps are timed in between.

At least three are needed to see how visits differ; from five on the t-quantile (2.8, with three visits 4.3) no longer
dominates the interval's width, and a visit of a fifth of the seconds is still many blocks.
"""

FEWEST = 3
"""Visits that a slow step gets at up to twice its seconds."""


def timed(
    block: TimedBlock,
    settings: ThroughputSettings,
    beside: TimedBlock | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """One visit: rounds of blocks until the median is known or the time is up.

    The blocks double from one look to the next, and what is timed beside takes a block at each: looking after
    every block would stop on lucky intervals and cover the median in 92 % of cases instead of 95 %. The
    `clock` tells when the time is up: what a block runs without timing it counts.

    >>> timed(lambda number: 0.002 * number, ThroughputSettings()).seconds.value
    0.002
    """
    return Visited(block, settings, beside, clock, planned=1).visit().timing()


class Visited:
    """A step that is timed in several visits, between which its machine does other work.

    Neighbouring blocks are alike, because a neighbour's work, a clock's state and the placement of memory last longer
    than a block: an interval from the blocks of one visit says nothing about the next. Visits that lie apart differ
    by what a repetition of the run differs by. So the interval over visits rests on their medians alone: on the log
    scale mean ± t · s/√V with t of V − 1 degrees of freedom, which contains what the noise within visits adds. The
    value is the median of the visits' medians, which lies in that interval for every V ≥ 2.
    """

    def __init__(
        self,
        block: TimedBlock,
        settings: ThroughputSettings,
        beside: TimedBlock | None = None,
        clock: Callable[[], float] = time.perf_counter,
        planned: int = VISITS,
    ) -> None:
        self.settings, self.planned, self._clock = settings, planned, clock
        self._own = _Repeated(block, MIN_BLOCK_SECONDS)
        self._others = [_Repeated(beside, BESIDE_SECONDS)] if beside else []
        self._visits: list[Interval] = []
        self._beside: list[list[float]] = []
        self._times: list[float] = []
        self._spent, self._known = 0.0, True

    def visit(self) -> "Visited":
        """One visit, of an equal share of the seconds; none where a slow step has used them up: for the first three
        visits twice of them, since fewer do not show how visits differ."""
        began = self._clock()
        share = self.settings.max_seconds / self.planned
        if self._visits and self._spent + share / 2 > self.settings.max_seconds * (1 + (len(self._visits) < FEWEST)):
            return self
        precision = self.settings.precision * self.planned**0.5
        first, look = len(self._own.seconds), FIRST_LOOK
        before = [len(other.seconds) for other in self._others]

        def left() -> bool:
            return self._clock() - began < share

        known = False
        while not known:
            for other in self._others:
                other.add()
            while (count := len(self._own.seconds) - first) < look and (left() or not count):
                self._own.add()
            found = median_interval(self._own.seconds[first:])
            known = count == look and found.high - found.low <= 2 * precision * found.value
            if not left():
                break
            look *= 2
        for other in self._others:
            other.add()
        self._known = self._known and known
        self._visits.append(found)
        self._beside += [other.seconds[start:] for other, start in zip(self._others, before, strict=True)]
        self._spent += self._clock() - began
        self._times += [began, self._clock()]
        return self

    def timing(self) -> Timing:
        """The median over all visits with its interval."""
        beside = [seconds for visit in self._beside for seconds in visit]
        return self._over_visits(self._visits, len(self._own.seconds), beside)

    def beside(self) -> Timing | None:
        """The same for what was timed beside; None where nothing was."""
        if not self._beside:
            return None
        medians = [median_interval(visit) for visit in self._beside]
        return self._over_visits(medians, sum(map(len, self._beside)), [])

    def _over_visits(self, visits: list[Interval], blocks: int, beside: list[float]) -> Timing:
        reason = "precision" if self._known else "budget"
        span = self._times[-1] - self._times[0]
        return Timing(over_visits(visits), blocks, reason, beside, len(visits), span)


def over_visits(visits: list[Interval]) -> Interval:
    """The median over visits with the 95 % interval that a repetition of the run has; one visit keeps its own.

    >>> visits = [Interval(1.0, 0.9, 1.1), Interval(1.2, 1.1, 1.3), Interval(1.1, 1.0, 1.2)]
    >>> [round(each, 3) for each in over_visits(visits)]
    [1.1, 0.875, 1.376]
    >>> over_visits([Interval(1.0, 0.9, 1.1)])
    Interval(value=1.0, low=0.9, high=1.1)
    """
    if len(visits) == 1:
        return visits[0]
    logs = [log(max(each.value, 1e-12)) for each in visits]
    half = _quantile(len(logs) - 1) * stdev(logs) / len(logs) ** 0.5
    return Interval(exp(median_of(logs)), exp(fmean(logs) - half), exp(fmean(logs) + half))


class _Repeated:
    """Blocks of one step, `target` seconds each: their seconds per step in order."""

    def __init__(self, block: TimedBlock, target: float) -> None:
        self._block, self._target, self._number = block, target, 0
        self.seconds: list[float] = []

    def add(self) -> None:
        """One block more; the first tells how many steps make a block, and is one itself where that is one step."""
        if not self._number:
            first = self._block(1)
            self._number = max(1, ceil(self._target / max(first, 1e-9)))
            if self._number == 1:
                self.seconds.append(first)
                return
        self.seconds.append(self._block(self._number) / self._number)


def median_interval(values: list[float]) -> Interval:
    """The median and a 95 % interval by order statistics (the whole range where fewer than six values are).

    >>> median_interval([3.0, 1.0, 2.0])
    Interval(value=2.0, low=1.0, high=3.0)
    """
    ordered = sorted(values)
    n = len(ordered)
    low = max(_below(n) - 1, 0)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return Interval(middle, ordered[low], ordered[n - 1 - low])


@cache
def _below(n: int) -> int:
    """P(fewer than so many of n values lie under the median) ≤ 2.5 %."""
    from scipy.stats import binom  # takes long to import, and settings are read without it

    return int(binom.ppf(0.025, n, 0.5))


@cache
def _quantile(degrees: int) -> float:
    """Student's t: 97.5 % lie below."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))
