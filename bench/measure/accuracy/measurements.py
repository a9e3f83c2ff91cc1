"""Turns statistics into rows of the table: one measurement per metric and block, with its interval and method."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from bench.measure.accuracy.second_stage import Judged
from bench.statistics.block import Block
from bench.statistics.direction import angle
from bench.statistics.interval import Interval
from bench.statistics.stream import Replicates
from bench.statistics.tails import approximate, hill, unstable
from bench.tables.metrics import Measurement

JACKKNIFE = "jackknife on the logarithm"
LENGTH = "inverted distribution of the noisy length"


def cell_measurements(kept: Replicates) -> Iterator[Measurement]:
    """The rows that a cell has once, not per block."""
    yield Measurement.of("nonfinite_rate", rate_interval(kept.nonfinite, kept.drawn), kept.drawn, "Wilson")
    if kept.target is not None and kept.error is not None:
        length = float(np.linalg.norm(kept.target))
        error = float(np.linalg.norm(kept.error))
        yield Measurement("reference_error", error / length if length else None, n=kept.drawn, method="norms")


def block_measurements(
    block: Block,
    name: str,
    p: float | None,
    tolerance: float,
    told: Mapping[str, str] | None = None,
    *,
    judged: Judged | None = None,
) -> Iterator[Measurement]:
    """The rows of one block. A number without meaning is null, and its method says why.

    `p`: the p-value of the verdict, which only the block `all` has. `tolerance`: the relative rounding error.
    `told`: the reasons of the verdicts on `angle` and `scale`, by metric, which only the block `all` has. `judged`: the
    estimates that the rows of the mean rest on. Default: those of `block`.
    """
    yield from spread_measurements(block, name, tolerance)
    if block.against is not None:
        about, adjusted = (judged.sampling.kept.block(name), judged.adjusted) if judged else (block, "")
        for each in mean_measurements(about, name, p, told or {}):
            yield replace(each, method=f"{each.method}; {adjusted}") if adjusted else each


def spread_measurements(block: Block, name: str, tolerance: float) -> Iterator[Measurement]:
    """The rows about the spread of the estimates."""

    def row(metric: str, interval: Interval | None, method: str) -> Measurement:
        return Measurement.of(metric, interval, block.count, method, name)

    still = not block.varies(tolerance)
    gate = None if still else unstable(block.distances)
    caution = None if still else approximate(block.distances, block.variance_error())
    spread = f"{JACKKNIFE}; {caution}" if caution else JACKKNIFE
    if gate:
        yield from (row(metric, None, gate) for metric in ("variance", "variance_max", "mse", "snr"))
    else:
        yield row("variance", block.variance(), spread)
        yield row("variance_max", block.variance_max(), spread)
        if block.against:
            yield row("mse", block.mse(), spread)
        length = f"{LENGTH}; {caution}" if caution else LENGTH
        yield row("snr", None if still else block.snr(), "no variance" if still else length)
    index = None if still else hill(np.sqrt(block.distances))
    yield Measurement("tail_index", index, n=block.count, method="Hill, largest 0.5 %", block=name)


def mean_measurements(block: Block, name: str, p: float | None, told: Mapping[str, str]) -> Iterator[Measurement]:
    """The rows about the mean of the estimates, against the exact gradient."""

    def row(metric: str, interval: Interval | None, method: str) -> Measurement:
        return Measurement.of(metric, interval, block.count, method, name)

    bias, length = block.bias(), 0.0 if block.exact_is_zero else block.exact.length
    method = f"{LENGTH}; resolves {(bias.high - bias.value) / length:.1g}" if length else LENGTH
    yield row("bias", bias, LENGTH)
    yield row("relative_bias", bias.scaled(1 / length) if length else None, method)
    if p is not None:
        yield Measurement("bias_pvalue", p, n=block.count, method="Hall's t, Bonferroni", block=name)
    reasons = {metric: f"; {reason}" for metric, reason in told.items() if reason}
    yield row("scale", block.scale() if length else None, f"Hall's t{reasons.get('scale', '')}")
    yield row("cosine", block.cosine() if length else None, LENGTH)
    yield row("angle", angle(block), f"{LENGTH}{reasons.get('angle', '')}")


def rate_interval(hits: int, count: int) -> Interval:
    """Wilson's 95 % interval of a proportion.

    >>> round(rate_interval(0, 100).high, 3)
    0.037
    """
    z2 = 1.959964**2
    centre = (hits + z2 / 2) / (count + z2)
    half = (z2 * (hits * (count - hits) / count + z2 / 4)) ** 0.5 / (count + z2)
    return Interval(hits / count, max(centre - half, 0.0), min(centre + half, 1.0))
