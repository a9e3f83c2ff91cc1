"""The stopping rule: draws estimates, evaluates them at planned looks, and stops at the requested precision.

Each look has four times the estimates of the previous look and its share of the level (Bonferroni, see
`bench.statistics.verdict`), so looking early does not inflate false alarms. The rule is independent of problems and
estimators: the coverage study runs it on synthetic gradients.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from bench.plugins.settings import LATER
from bench.statistics.block import Block
from bench.statistics.control import Ask, nothing_known
from bench.statistics.dependence import MIN_GROUPS, SUSPICION, dependent
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict, judge
from bench.statistics.yardstick import Scale
from estimators.errors import BadInput

LEAST_REPLICATES = 64
"""Smallest number of estimates of a measurement: as many as the batch means from which intervals are computed."""

UNREACHABLE = 2.0
"""Once the variance is known, a verdict that needs more than this multiple of the budget is given up."""


@dataclass(frozen=True)
class AccuracySettings:
    """Precision and budget of an accuracy measurement.

    Attributes:
        precision: Relative half-width of the variance's 95 % interval at which sampling may stop.
        bias_resolution: *unbiased* is said only if the relative bias is shown to be below this value.
        max_replicates: Largest number of estimates.
        max_evaluations: Largest number of calls of f and its gradient in all, whatever `min_replicates` says, but at
            least those of 64 estimates. So an estimator with a thousand calls does not take a thousand times as long.
        min_replicates: Smallest number of estimates that the other limits allow.
        level: The chance that an unbiased cell is called biased before the confirmation on fresh estimates, which
            divides it by 1,000: a sweep of 100,000 cells stays below 1 % (`bench.statistics.verdict`).
        max_seconds: Seconds after which no further look begins, the preparation of the cell included; a look that would
            not be over by then does not begin either. How many looks fit depends on the machine: two runs have the same
            numbers only where no cell was stopped by it, and its reason says so. Default: no limit.

    Raises:
        BadInput: A value is out of range.
    """

    precision: float = 0.05
    bias_resolution: float = 0.02
    max_replicates: int = 1_000_000
    max_evaluations: int = 100_000_000
    min_replicates: int = 1024
    level: float = 1e-5
    max_seconds: float | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        for name in ("precision", "bias_resolution", "level"):
            if not 0 < getattr(self, name) < 1:
                raise BadInput(f"{name} must be between 0 and 1, found {getattr(self, name)}")
        if not LEAST_REPLICATES <= self.min_replicates <= self.max_replicates:
            raise BadInput(
                f"min_replicates must be at least {LEAST_REPLICATES} and at most max_replicates = "
                f"{self.max_replicates}, found {self.min_replicates}"
            )
        if self.max_evaluations < 1:
            raise BadInput(f"max_evaluations must be at least 1, found {self.max_evaluations}")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise BadInput(f"max_seconds must be above 0, found {self.max_seconds}")

    def within(self, calls: float) -> "AccuracySettings":
        """The settings with the numbers of replicates reduced to the budget of evaluations, at `calls` per estimate.

        >>> AccuracySettings(max_evaluations=200_000).within(calls=100.0).max_replicates
        2000
        >>> few = AccuracySettings(max_evaluations=200_000).within(calls=1000.0)
        >>> few.min_replicates, few.max_replicates
        (200, 200)
        """
        affordable = max(int(self.max_evaluations / max(calls, 1)), LEAST_REPLICATES)
        most = min(self.max_replicates, affordable)
        return replace(self, max_replicates=most, min_replicates=min(self.min_replicates, most))

    def after(self, seconds: float) -> "AccuracySettings":
        """The settings for what is left of `max_seconds` after so many seconds.

        >>> AccuracySettings(max_seconds=10).after(4.0).max_seconds
        6.0
        """
        return self if self.max_seconds is None else replace(self, max_seconds=max(self.max_seconds - seconds, 1e-9))

    def too_late(self, seconds: float, drawn: int, following: int) -> bool:
        """Whether the look at `following` estimates would end after `max_seconds`, if `drawn` took so many seconds.

        >>> settings = AccuracySettings(max_seconds=10)
        >>> settings.too_late(2.0, 1024, 4096), settings.too_late(3.0, 1024, 4096)
        (False, True)
        """
        return self.max_seconds is not None and seconds * following / drawn > self.max_seconds


@dataclass(frozen=True)
class Ended:
    """How the sampling of one cell ended."""

    verdict: Verdict
    stop_reason: str


class Sampling:
    """Draws estimates until the stopping rule ends.

    Args:
        draw: `draw(i)` returns chunk i, `[R, P]`, always of the same size; None if no time is left to draw it.
        chunk: Number of replicates in a chunk.
        kept: Collects the estimates.
        settings: Precision and budget.
        tolerance: Relative rounding error of an estimate.
        exact: The estimator draws nothing, so a single chunk is enough.
        rare: `rare(R)` marks the parameters that rest on too few discrete outcomes after R replicates. Default: none.
        control: `control(R)` is the control of these draws (`bench.statistics.control`). Default: none.
        scale: The length in the place of ‖g‖ where g is zero or nearly zero. Default: that of a typical estimate.
        clock: Measures `max_seconds`, from now on.
    """

    def __init__(
        self,
        draw: Callable[[int], Tensor | None],
        chunk: int,
        kept: Replicates,
        settings: AccuracySettings,
        *,
        tolerance: float = 1e-12,
        exact: bool = False,
        rare: Callable[[int], Bool[np.ndarray, " P"] | None] = lambda replicates: None,
        control: Ask = nothing_known,
        scale: Scale | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.clock, self._began = clock, clock()
        self.draw, self.chunk, self.kept, self.settings, self.rare = draw, chunk, kept, settings, rare
        self.control, self.exact = control, exact
        self.looks = (
            [max(chunk, 2)] if exact else look_schedule(chunk, settings.min_replicates, settings.max_replicates)
        )
        self.rules = Rules(settings.bias_resolution, settings.level, len(self.looks), tolerance, scale=scale)

    def run(self) -> Ended:
        """Draws until the stopping rule or the source of the estimates ends.

        Returns:
            The verdict and the reason for stopping.
        """
        verdict, rejected = Verdict("", ""), False
        for number, look in enumerate(self.looks):
            self.kept.look()
            whole = self.fill(look)
            if not whole and self.kept.fresh.count < 2:
                return Ended(verdict, "time")
            if self.kept.count < 2:
                return Ended(Verdict("", "no estimate is finite"), "nonfinite")
            verdict = self.verdict(rejected)
            reason = self.reason(verdict, number if whole else len(self.looks) - 1)
            if reason or not whole:
                return Ended(verdict, reason or "time")
            if self.late(number):
                return Ended(replace(verdict, reason=self.stopped_early(verdict)), "budget")
            rejected = verdict.p is not None and verdict.p <= self.rules.level
        return Ended(verdict, "budget")

    def late(self, number: int) -> bool:
        """Whether the look after look `number` would end after `max_seconds`, if estimates take as long as so far.

        The level of each look does not depend on how many follow, so a verdict at an early end is worth as much.
        """
        if number == len(self.looks) - 1:
            return False
        return self.settings.too_late(self.clock() - self._began, self.kept.drawn, self.looks[number + 1])

    def stopped_early(self, verdict: Verdict) -> str:
        """The reason of a verdict, with a clause that says that the clock ended the sampling."""
        planned = f"{self.kept.drawn:,} of at most {self.looks[-1]:,} estimates"
        clause = f"max_seconds ended the sampling after {planned}: their number depends on the machine"
        return "; ".join(filter(None, (verdict.reason, clause)))

    def fill(self, look: int) -> bool:
        """Draws up to `look` estimates in all; returns whether the source still had them."""
        while self.kept.drawn < look:
            chunk = self.draw(self.kept.drawn // self.chunk)
            if chunk is None:
                return False
            self.kept.add(chunk)
        return True

    def verdict(self, rejected_before: bool) -> Verdict:
        """The verdict on the bias from the estimates so far."""
        if self.kept.target is None:
            return Verdict("", "there is no exact gradient to compare with")
        rare = self.rare(self.kept.drawn)
        block = self.kept.block("all")
        name, control = self.kept.coordinate, self.control
        verdict = judge(block, self.rules, rejected_before, rare, control=control, name=name)
        if self.kept.nonfinite:
            return replace(
                verdict, word="unclear", reason=f"{self.kept.nonfinite} estimates are not finite", gated=True
            )
        return verdict

    def reason(self, verdict: Verdict, look: int) -> str:
        """The reason to stop now; empty to go on.

        Estimates that do not vary in two looks count as constant if the verdict is settled; else an event may still
        come up. Testing the independence of replicates takes at least four chunks, so sampling does not end before.
        """
        block, last = self.kept.block("all"), look == len(self.looks) - 1
        settled = verdict.settled or self.kept.target is None
        if self.kept.nonfinite:
            return "nonfinite"
        if self.kept.drawn < self.settings.min_replicates and not last:
            return ""
        if not block.varies(self.rules.tolerance) and settled:
            return "exact" if last or look else ""
        precise = block.variance().high <= (1 + self.settings.precision) * block.trace
        if not precise or (not last and self.doubtful(block, settled)):
            return ""
        hopeless = verdict.needed is not None and verdict.needed > UNREACHABLE * self.settings.max_replicates
        return "precision" if settled else "verdict_out_of_reach" if hopeless and not last else ""

    def doubtful(self, block: Block, settled: bool) -> bool:
        """Whether the independence of the replicates is in doubt: there are few chunks, or a first sign against it."""
        few = self.kept.drawn < MIN_GROUPS * self.chunk
        return few or (settled and dependent(block, self.rules.tolerance, SUSPICION) is not None)


def look_schedule(chunk: int, first: int, most: int, ratio: int = 4) -> list[int]:
    """The total replicates at each look: `first`, × ratio, …, `most`, as multiples of the chunk or of 64 if larger.

    If `first` is all or nearly all of `most`, an earlier look at a quarter is added, so that there are two looks.

    >>> look_schedule(64, 1000, 20_000), look_schedule(64, 1000, 1000)
    ([1024, 4096, 20032], [256, 1024])
    """
    step = max(chunk, 64)
    last = ceil(most / step) * step
    planned = [ceil(min(first, last / ratio) / step) * step]
    while planned[-1] * ratio * 2 <= last:
        planned.append(planned[-1] * ratio)
    return [*(look for look in planned if look < last), last]
