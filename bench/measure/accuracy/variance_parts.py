"""Tells the variance of noisy estimates apart: the part of the draws, and the part of the data.

Estimates in triples: one, another with the same data and other draws, a third with the same draws and other data. What
two of them have in common is the part of what they share (`bench.statistics.shared_part`). The triples are drawn after
the estimates from which everything else is measured, eager, with seeds of their own.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from bench.measure.accuracy.stopping import AccuracySettings, look_schedule
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.measure.execution.seeding import seed_draws
from bench.statistics.shared_part import PARTS, SharedParts
from bench.statistics.stream import Replicates
from bench.statistics.tails import unstable
from bench.tables.metrics import Measurement
from estimators.tools.noise_of_f import NoiseSource

SHARED_BY_A_PAIR = "pairs of estimates with the same {}; Hall's t"


@dataclass(frozen=True)
class Triples:
    """Triples of estimates, a chunk at a time."""

    gradients: Gradients
    execution: Execution
    chunk: int

    def __call__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Chunk `index`: estimates, others with the same data, and others with the same draws."""
        return self.of(index, "draws", "data"), self.of(index, "other", "data"), self.of(index, "draws", "other")

    def of(self, index: int, draws: str, data: str) -> Tensor:
        """The estimates of a chunk whose draws and data are named so."""
        own = self.gradients.with_noise_of(NoiseSource(self.execution.seed_of(f"{data} of the data {index}")))
        seed_draws(self.execution.seed_of(f"{draws} of the draws {index}"), self.execution.device)
        return own(self.chunk)


def variance_parts(
    triples: Triples, kept: Replicates, settings: AccuracySettings, tolerance: float
) -> Iterator[Measurement]:
    """The rows `variance_of_data` and `variance_of_draws`, null where the variance has no meaning.

    The part of the data has no row where f draws noise at every call: more draws then average that noise, too.

    Args:
        triples: Draws the triples.
        kept: The estimates from which the variance was measured.
        settings: Precision and budget; at most as many triples are drawn as there are estimates in `kept`.
        tolerance: Relative rounding error of an estimate.
    """
    parts = PARTS if triples.gradients.minibatches is not None else ("draws",)
    if kept.nonfinite or kept.count < 2:
        yield from (Measurement(f"variance_of_{part}", None, method="not all estimates are finite") for part in parts)
        return
    found = parts_until_precise(triples, triples.chunk, kept, settings, parts)
    for name in kept.blocks:
        block = kept.block(name)
        gate = unstable(block.distances) if block.varies(tolerance) else None
        for part in parts:
            yield part_row(found, part, name, gate)


def part_row(found: SharedParts, part: str, block: str, gate: str | None) -> Measurement:
    """The row of a part in a block of parameters; null with the sentence `gate` where the variance has no meaning."""
    interval = None if gate else found.interval(part, block)
    return Measurement.of(f"variance_of_{part}", interval, found.count, gate or SHARED_BY_A_PAIR.format(part), block)


def parts_until_precise(
    triples: Callable[[int], tuple[Tensor, Tensor, Tensor]],
    chunk: int,
    kept: Replicates,
    settings: AccuracySettings,
    parts: Sequence[str],
) -> SharedParts:
    """Draws triples until each part is known to `precision` of the whole variance, there are as many as estimates, or
    the next look would end after `max_seconds`.

    `triples(i)` returns chunk i, of `chunk` triples.
    """
    began = time.perf_counter()
    found = SharedParts.around(kept, parts)
    narrow = settings.precision * kept.block("all").trace
    for look in look_schedule(chunk, settings.min_replicates, max(kept.drawn, settings.min_replicates)):
        if found.count and settings.too_late(time.perf_counter() - began, found.count, look):
            break
        while found.count < look:
            found.add(*triples(found.count // chunk))
        if found.widest() <= narrow:
            break
    return found
