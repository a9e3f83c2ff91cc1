"""The stopping rule: draw, look a few times fixed beforehand, stop when what was asked for is known.

Each look has four times the estimates of the one before, and what is said at any of them is held to its share of
the level (Bonferroni, see `bench.statistics.verdict`), so looking early does not inflate false alarms. Knows
nothing of problems and estimators: the coverage study runs it on synthetic gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from bench.statistics.block import Block
from bench.statistics.control import Ask, nothing_known
from bench.statistics.dependence import MIN_GROUPS, SUSPICION, dependent
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict, judge
from estimators.errors import BadInput

UNREACHABLE = 2.0
"""A verdict that would take more than this times the budget is given up once the variance is known."""


@dataclass(frozen=True)
class AccuracySettings:
    """When to stop. `precision`: half-width of the variance's 95 % interval, relative. `bias_resolution`: *unbiased*
    is only said when the relative bias is shown to be below it. `level`: the chance that one unbiased cell is called
    biased before its confirmation on fresh estimates, which divides it by 1,000: a sweep of 100,000 cells stays
    below 1 % (`bench.statistics.verdict`).
    `max_evaluations`: no more calls of f and its gradient than this in all, though at least `min_replicates`
    estimates, so that an estimator that costs a thousand calls does not take a thousand times as long.
    """

    precision: float = 0.05
    bias_resolution: float = 0.02
    max_replicates: int = 1_000_000
    max_evaluations: int = 100_000_000
    min_replicates: int = 1024
    level: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("precision", "bias_resolution", "level"):
            if not 0 < getattr(self, name) < 1:
                raise BadInput(f"{name} must be between 0 and 1, found {getattr(self, name)}")
        if not 64 <= self.min_replicates <= self.max_replicates:
            raise BadInput(
                f"min_replicates must be at least 64 and at most max_replicates = {self.max_replicates}, "
                f"found {self.min_replicates}"
            )
        if self.max_evaluations < 1:
            raise BadInput(f"max_evaluations must be at least 1, found {self.max_evaluations}")

    def within(self, calls: float) -> "AccuracySettings":
        """The same, with no more replicates than the evaluations allow at `calls` of them per estimate.

        >>> AccuracySettings(max_evaluations=200_000).within(calls=100.0).max_replicates
        2000
        """
        affordable = int(self.max_evaluations / max(calls, 1))
        return replace(self, max_replicates=min(self.max_replicates, max(self.min_replicates, affordable)))


@dataclass(frozen=True)
class Ended:
    """How the sampling of one cell ended."""

    verdict: Verdict
    stop_reason: str


class Sampling:
    """Estimates drawn until the rule says stop: `draw(i)` gives chunk i, always of the same size.

    `rare(R)` marks the parameters that rest on too few discrete outcomes after R replicates; `control(R)` is what else
    is known of these draws (`bench.statistics.control`), by default nothing. An `exact` estimator draws nothing: one
    chunk tells all.
    """

    def __init__(
        self,
        draw: Callable[[int], Tensor],
        chunk: int,
        kept: Replicates,
        settings: AccuracySettings,
        *,
        tolerance: float = 1e-12,
        exact: bool = False,
        rare: Callable[[int], Bool[np.ndarray, " P"] | None] = lambda replicates: None,
        control: Ask = nothing_known,
    ) -> None:
        self.draw, self.chunk, self.kept, self.settings, self.rare = draw, chunk, kept, settings, rare
        self.control, self.exact = control, exact
        self.looks = (
            [max(chunk, 2)] if exact else look_schedule(chunk, settings.min_replicates, settings.max_replicates)
        )
        self.rules = Rules(settings.bias_resolution, settings.level, len(self.looks), tolerance)

    def run(self) -> Ended:
        """Draw until it is time to stop."""
        verdict, rejected = Verdict("", ""), False
        for number, look in enumerate(self.looks):
            self.kept.look()
            while self.kept.drawn < look:
                self.kept.add(self.draw(self.kept.drawn // self.chunk))
            if self.kept.total.count < 2:
                return Ended(Verdict("", "no estimate is finite"), "nonfinite")
            verdict = self.verdict(rejected)
            reason = self.reason(verdict, number)
            if reason:
                return Ended(verdict, reason)
            rejected = verdict.p is not None and verdict.p <= self.rules.level
        return Ended(verdict, "budget")

    def verdict(self, rejected_before: bool) -> Verdict:
        """What may be said of the bias now."""
        if self.kept.target is None:
            return Verdict("", "there is no exact gradient to compare with")
        rare = self.rare(self.kept.drawn)
        block = self.kept.block("all")
        name, control = self.kept.coordinate, self.control
        verdict = judge(block, self.rules, rejected_before, rare, control=control, name=name)
        if self.kept.nonfinite:
            return replace(verdict, word="unclear", reason=f"{self.kept.nonfinite} estimates are not finite")
        return verdict

    def reason(self, verdict: Verdict, look: int) -> str:
        """Why to stop now, or nothing.

        Estimates that do not vary in two looks are constant where the verdict is settled; else an event may still come
        up. The independence of replicates shows in four chunks or more, so none ends before them.
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
        """Whether too little is known of the replicates' independence: few chunks, or a first sign against it."""
        few = self.kept.drawn < MIN_GROUPS * self.chunk
        return few or (settled and dependent(block, self.rules.tolerance, SUSPICION) is not None)


def look_schedule(chunk: int, first: int, most: int, ratio: int = 4) -> list[int]:
    """Replicates in all at each look, multiples of the chunk (and of 64): `first`, × ratio, …, `most`.

    Where `first` is all or nearly all there is, a look at a quarter precedes it, so that a second can follow.

    >>> look_schedule(64, 1000, 20_000), look_schedule(64, 1000, 1000)
    ([1024, 4096, 20032], [256, 1024])
    """
    step = max(chunk, 64)
    last = ceil(most / step) * step
    planned = [ceil(min(first, last / ratio) / step) * step]
    while planned[-1] * ratio * 2 <= last:
        planned.append(planned[-1] * ratio)
    return [*(look for look in planned if look < last), last]
