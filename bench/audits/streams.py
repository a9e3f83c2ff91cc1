"""Draws from sources and judges: one stream against an exact gradient, or the difference of two streams."""

import time
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.audits.sources import Source
from bench.audits.watched import WatchedReplicates
from bench.measure.accuracy.accuracy import RELATIVE_ROUNDING
from bench.measure.accuracy.stopping import AccuracySettings, Ended, Sampling
from bench.measure.estimates.batching import power_of_two
from bench.statistics.block import Block
from bench.statistics.control import KNOWN, UNSEEN, Control
from bench.statistics.dependence import dependent
from bench.statistics.difference import judge_difference, mean_length
from bench.statistics.tails import unstable
from bench.statistics.verdict import Verdict
from estimators.errors import BadInput

FEWEST_ESTIMATES = 256
"""The smallest number of estimates that is judged."""
CHUNK_NUMBERS = 2**21
"""Largest number of elements of a chunk that is drawn, from 16 rows on."""
HELD_BACK = 8
"""One in so many chunks of an array gives the direction of a difference, and is not in the difference."""


@dataclass(frozen=True)
class AuditPlan:
    """How an audit draws and judges: see the arguments of `bench.audit`."""

    resolution: float
    rarest: float
    replicates: int
    seconds: float

    @property
    def alone(self) -> int:
        """The number of estimates among which an event of probability `rarest` has come up, with a chance of 95 %."""
        return ceil(UNSEEN / self.rarest * (1 - 1e-12))

    def control(self, replicates: int) -> Control | None:
        """None while an event of probability `rarest` may not have come up among the estimates so far."""
        return KNOWN if replicates >= self.alone else None

    def settings(self, rows: int | None) -> AccuracySettings:
        """Those of the suite; all `rows` of an array are used, with a look at a quarter of them before."""
        if rows is None:
            return AccuracySettings(bias_resolution=self.resolution, max_replicates=self.replicates)
        return AccuracySettings(bias_resolution=self.resolution, min_replicates=rows, max_replicates=rows)


@dataclass(frozen=True)
class Stream:
    """A measured stream: its summary, how it ended, and the relative rounding error of an estimate."""

    kept: WatchedReplicates
    ended: Ended
    tolerance: float

    @property
    def block(self) -> Block:
        """The statistics of the estimates."""
        return self.kept.block("all")


class StreamSampling(Sampling):
    """Draws one stream. Rows that repeat or are not finite make its verdict unclear."""

    kept: WatchedReplicates

    def verdict(self, rejected_before: bool) -> Verdict:
        """The verdict on the estimates so far; `unclear` where they have a fault."""
        self._fault = self.kept.fault()
        return Verdict("unclear", self._fault) if self._fault else self.judged(rejected_before)

    def reason(self, verdict: Verdict, look: int) -> str:
        """The reason to stop now; see `Sampling.reason`. A fault ends drawing, but an array is read to its end."""
        if not self._fault:
            return super().reason(verdict, look)
        return "fault" if self.kept.drawn >= self.settings.min_replicates else ""

    def judged(self, rejected_before: bool) -> Verdict:
        """The verdict on the bias. Without an exact gradient the word is empty, or unclear where the noise is."""
        if self.kept.target is not None:
            return super().verdict(rejected_before)
        doubt = in_doubt(self.kept.block("all"), self.rules.tolerance)
        return Verdict("unclear", doubt) if doubt else Verdict("", "there is no exact gradient to compare with")


class DifferenceSampling(StreamSampling):
    """Draws the rows a − b + c; `other` holds the estimates b, for the length of their mean."""

    other: Block

    def judged(self, rejected_before: bool) -> Verdict:
        """The verdict on the difference of the means."""
        return judge_difference(
            self.kept.block("all"),
            mean_length(self.other),
            self.rules,
            rejected_before,
            control=self.control,
            name=self.kept.coordinate,
        )


def in_doubt(block: Block, tolerance: float) -> str | None:
    """Returns a sentence if the estimates depend on each other or their variance is not resolved, else None."""
    return dependent(block, tolerance) or (unstable(block.distances) if block.varies(tolerance) else None)


def chunk_size(sources: list[Source], count: int | None) -> int:
    """The number of estimates in a chunk: a power of two that does not depend on timing.

    Of an array of R rows R/64, but at least R/16 up to 64 rows and at most 4096; of what is drawn, at most 2²¹ numbers.
    """
    if count is not None:
        return count
    lengths = [source.rows for source in sources if source.rows is not None]
    if lengths:
        rows = min(lengths)
        return power_of_two(max(1, min(4096, max(rows // 64, min(rows // 16, 64)))))
    most = max(source.most for source in sources)
    return power_of_two(min(most, max(16, CHUNK_NUMBERS // sources[0].dim)))


def usable(rows: int | None, plan: AuditPlan, count: int, name: str) -> int | None:
    """The rows of an array that are used, whole chunks of them; None for a source without an end.

    Raises BadInput if there are too few.
    """
    if rows is None:
        return None
    step = max(count, 64)
    used = min(rows, plan.replicates) // step * step
    if used < FEWEST_ESTIMATES:
        raise BadInput(
            f"{name} has {rows} rows, of which {used} can be used in chunks of {count}; {FEWEST_ESTIMATES} are needed"
        )
    return used


def measured_stream(source: Source, target: Float[np.ndarray, " P"] | None, plan: AuditPlan) -> Stream:
    """Draws a stream until its variance is precise and its verdict settled, or rows or time are spent."""
    deadline = time.monotonic() + plan.seconds
    rows = usable(source.rows, plan, source.count, source.name)
    tolerance = RELATIVE_ROUNDING[torch.float32 if source.single else torch.float64]
    kept = WatchedReplicates(source.dim, target)
    sampling = StreamSampling(
        lambda index: source.chunk(index, deadline),
        source.count,
        kept,
        plan.settings(rows),
        tolerance=tolerance,
        control=plan.control,
    )
    return ended_stream(sampling, source.name, plan)


def measured_difference(source: Source, against: Source, second: Stream, plan: AuditPlan) -> Stream:
    """Draws the difference of two sources; the first chunks of each are held back, for the direction of a test."""
    deadline = time.monotonic() + plan.seconds
    count = source.count
    lengths = [each.rows for each in (source, against) if each.rows is not None]
    held = max(1, min(lengths) // count // HELD_BACK) if lengths else 1
    name = f"the difference of {source.name} and {against.name}"
    rows = usable(min(lengths) - held * count if lengths else None, plan, count, name)
    centre = direction(against, held, deadline)
    shift = torch.from_numpy(centre)

    def draw(index: int) -> Tensor | None:
        pair = [each.chunk(index + held, deadline) for each in (source, against)]
        return None if pair[0] is None or pair[1] is None else pair[0] - pair[1] + shift

    tolerance = RELATIVE_ROUNDING[torch.float32 if source.single or against.single else torch.float64]
    kept = WatchedReplicates(source.dim, centre)
    sampling = DifferenceSampling(draw, count, kept, plan.settings(rows), tolerance=tolerance, control=plan.control)
    sampling.other = second.block
    return ended_stream(sampling, name, plan)


def direction(against: Source, held: int, deadline: float) -> Float[np.ndarray, " P"]:
    """The mean of the first `held` chunks, without rows that are not finite."""
    chunks = [chunk for index in range(held) if (chunk := against.chunk(index, deadline)) is not None]
    rows = torch.cat(chunks) if chunks else torch.zeros(1, against.dim, dtype=torch.float64)
    rows = rows[rows.isfinite().all(1)]
    return rows.mean(0).numpy() if len(rows) else np.zeros(against.dim)


def ended_stream(sampling: StreamSampling, name: str, plan: AuditPlan) -> Stream:
    """Runs a sampling. Raises BadInput if the time was too short, or no estimate is finite."""
    sampling.rules = replace(sampling.rules, alone=plan.alone)
    ended, kept = sampling.run(), sampling.kept
    if kept.drawn < FEWEST_ESTIMATES:
        raise BadInput(
            f"{name}: {kept.drawn} estimates in {plan.seconds:g} s, {FEWEST_ESTIMATES} are needed; give more seconds, "
            f"or a smaller count than {sampling.chunk} per call"
        )
    if kept.count < 2:
        raise BadInput(f"{name}: none of {kept.drawn} estimates is finite")
    return Stream(kept, ended, sampling.rules.tolerance)
