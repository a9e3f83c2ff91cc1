"""Measures the median time of a step to a given precision; independent of estimators and devices, so that a fake clock
can test it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import ceil, exp, log
from statistics import fmean, stdev
from statistics import median as median_of

from bench.statistics.interval import Interval
from bench.tables.visits import WITHIN_RUN, WITHIN_VISIT
from estimators.errors import BadInput

MIN_BLOCK_SECONDS = 0.01
"""Shortest block: long compared with the clock's resolution and the synchronisation at its end."""

BESIDE_SECONDS = 0.002
"""Shortest block of the reference workload between the blocks."""

FIRST_LOOK = 8
"""Blocks before the first look; each look has twice the blocks of the previous look."""

TimedBlock = Callable[[int], float]
"""`block(number)` runs this number of steps back to back and returns their total seconds."""


@dataclass(frozen=True)
class ThroughputSettings:
    """Precision and budget of a timing.

    Attributes:
        precision: Relative half-width of the median's 95 % interval at which timing stops.
        max_seconds: Seconds after which timing stops in any case.
        replicates: Batch size of a step. Default: chosen by `replicates_per_chunk`.

    Raises:
        BadInput: A value is out of range.
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
    """The time of one step.

    `seconds`: the median with its 95 % interval. `blocks`: the number of timed blocks. `beside`: seconds per step of
    the reference workload timed between the blocks, in order. `visits`: the number of visits behind the interval,
    spread over `span` seconds. With a single visit (the default), the interval is that of the median of the blocks
    within the visit.
    """

    seconds: Interval
    blocks: int
    stop_reason: str
    beside: list[float] = field(default_factory=list)
    visits: int = 1
    span: float = 0.0

    @property
    def drift(self) -> float:
        """The relative slowdown of the machine from start to end; 0 if it is not known."""
        return self.beside[-1] / self.beside[0] - 1 if len(self.beside) > 1 else 0.0

    @property
    def covers(self) -> str:
        """What the interval covers, in words for the row's method."""
        return f"{WITHIN_RUN}: {self.visits} visits over {self.span:.2g} s" if self.visits > 1 else WITHIN_VISIT


VISITS = 5
"""Visits of a step when other steps are timed in between.

At least three visits are needed to measure how visits differ. From five on, the t-quantile (2.8; with three visits 4.3)
no longer dominates the width of the interval, and a visit of a fifth of the seconds still has many blocks.
"""

FEWEST = 3
"""Visits that a slow step gets even if they take up to twice its seconds."""


def timed(
    block: TimedBlock,
    settings: ThroughputSettings,
    beside: TimedBlock | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Times one visit: blocks of steps until the median is known or the time is up.

    The number of blocks doubles from one look to the next, because looking after every block would stop on lucky
    intervals and cover the median in 92 % of cases instead of 95 %.

    Args:
        block: The timed step.
        settings: Precision and budget.
        beside: A reference workload; one block of it is timed at each look.
        clock: Measures the budget. Untimed warm-up inside a block also counts against the budget.

    >>> timed(lambda number: 0.002 * number, ThroughputSettings()).seconds.value
    0.002
    """
    return Visited(block, settings, beside, clock, planned=1).visit().timing()


class Visited:
    """A step that is timed in several visits; between them the machine does other work.

    Neighbouring blocks are alike, because the load from other processes, the clock frequency and the placement of
    memory last longer than a block. So an interval from the blocks of one visit does not hold for the next visit. The
    interval over visits therefore uses only their medians: on the log scale, mean ± t · s/√V with t of V − 1 degrees of
    freedom, which includes the noise within visits. The value is the median of the visits' medians, which lies in this
    interval for every V ≥ 2. The interval covers changes of the machine that are faster than the time over which the
    visits are spread; slower changes make a repetition of the run differ by more (`bench.analysis.repeated_times`).

    Args:
        block: The timed step.
        settings: Precision and budget of all visits together.
        beside: A reference workload that is timed between the blocks.
        clock: Measures the budget.
        planned: The planned number of visits, V.
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
        """Times one visit with an equal share of the budget.

        Does nothing if a slow step has used up the budget; the first three visits may use twice the budget, because
        fewer visits do not show how visits differ.
        """
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
        """The time of a step over all visits, with its interval."""
        beside = [seconds for visit in self._beside for seconds in visit]
        return self._over_visits(self._visits, len(self._own.seconds), beside)

    def beside(self) -> Timing | None:
        """The time of the reference workload over all visits; None without one."""
        if not self._beside:
            return None
        medians = [median_interval(visit) for visit in self._beside]
        return self._over_visits(medians, sum(map(len, self._beside)), [])

    def _over_visits(self, visits: list[Interval], blocks: int, beside: list[float]) -> Timing:
        reason = "precision" if self._known else "budget"
        span = self._times[-1] - self._times[0]
        return Timing(over_visits(visits), blocks, reason, beside, len(visits), span)


def over_visits(visits: list[Interval]) -> Interval:
    """The median over visits, with a 95 % interval from how they differ; a single visit is unchanged.

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
    """Times blocks of one step, `target` seconds each; `seconds` holds the seconds per step of each block, in order."""

    def __init__(self, block: TimedBlock, target: float) -> None:
        self._block, self._target, self._number = block, target, 0
        self.seconds: list[float] = []

    def add(self) -> None:
        """Times one more block. The first call times one step to choose the number of steps in a block."""
        if not self._number:
            first = self._block(1)
            self._number = max(1, ceil(self._target / max(first, 1e-9)))
            if self._number == 1:
                self.seconds.append(first)
                return
        self.seconds.append(self._block(self._number) / self._number)


def median_interval(values: list[float]) -> Interval:
    """The median with a 95 % interval from order statistics (the whole range for fewer than six values).

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
    """The 2.5 % quantile of the number of n values that lie below the median."""
    from scipy.stats import binom  # a slow import, not needed to read settings

    return int(binom.ppf(0.025, n, 0.5))


@cache
def _quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))
