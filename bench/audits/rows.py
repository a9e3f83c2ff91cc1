"""The table of an audit: a row per stream and metric, with the suite's metrics, intervals and methods."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.audits.streams import Stream
from bench.measure.accuracy.measurements import LENGTH, block_measurements, cell_measurements
from bench.statistics.block import Against, Block
from bench.statistics.dependence import chunk_tests
from bench.statistics.difference import mean_length, relative_difference
from bench.statistics.interval import Interval
from bench.tables.metrics import Measurement

WORST_LISTED = 10
"""Coordinates that are listed."""
SPLIT = "biased needs the first quarter of the rows and the other three quarters, which are held back, to reject alike"
"""The method of a verdict on rows that cannot be drawn again."""
PAIRS = "one row in eight is held back, for the direction of a test"


def stream_rows(stream: Stream, finite: bool) -> Iterator[Measurement]:
    """The rows of one stream. `finite`: whether it is an array, which cannot be drawn again."""
    p = stream.ended.verdict.p
    for row in (*cell_measurements(stream.kept), *block_measurements(stream.block, "all", p, stream.tolerance)):
        if row.metric == "relative_bias" and finite:
            yield replace(row, method=f"{row.method}; {SPLIT}")
        elif row.metric != "reference_error":  # it is zero: the gradient is given as exact
            yield row
    yield dependence_row(stream.block, stream.tolerance)


def dependence_row(block: Block, tolerance: float) -> Measurement:
    """The most suspicious test of independence: the variance of chunk means ÷ that of independent estimates."""
    tests = [test for test in chunk_tests(block, tolerance) if np.isfinite(test.ratio)]
    if not tests:
        return Measurement("dependence", None, n=block.count, method="too few chunks, or too few estimates in a chunk")
    worst = min(tests, key=lambda test: test.p)
    p = min(1.0, len(tests) * worst.p)
    return Measurement("dependence", worst.ratio, n=block.count, method=f"means of {worst.replicates:.0f}, p = {p:.2g}")


def difference_rows(difference: Stream, first: Stream, second: Stream, finite: bool) -> Iterator[Measurement]:
    """The rows of the comparison of two streams; their noise is compared as that of independent streams."""
    block, count = difference.block, difference.block.count
    method = f"{LENGTH}; {PAIRS}" if finite else LENGTH
    yield Measurement.of("difference", block.bias(), count, method)
    yield Measurement.of("relative_difference", relative_difference(block, mean_length(second.block)), count, method)
    yield Measurement("difference_pvalue", difference.ended.verdict.p, n=count, method="Hall's t, Bonferroni")
    yield Measurement.of("cosine", cosine_of_means(first.block, second.block), count, LENGTH)
    resolved = all(stream.block.varies(stream.tolerance) for stream in (first, second))
    ratio = first.block.variance().over(second.block.variance()) if resolved else None
    yield Measurement.of("variance_ratio", ratio, count, "variance ÷ that of against, MOVER on the logarithm")


def cosine_of_means(first: Block, second: Block) -> Interval | None:
    """The cosine of the angle between two means; the interval is widened by twice the standard error of the second."""
    error = np.sqrt(second.moments.variance / second.count)
    none = np.zeros(0)
    to = Against(second.moments.mean, error, none, none, np.zeros(len(error)))
    return replace(first, against=to).cosine()


@dataclass(frozen=True)
class Compared:
    """What the mean of each coordinate is compared with: `value`, and the standard error of the difference."""

    mean: Float[np.ndarray, " P"]
    value: Float[np.ndarray, " P"]
    error: Float[np.ndarray, " P"]


def comparison_of(stream: Stream, second: Stream | None) -> Compared | None:
    """The mean against the exact gradient, else against the other mean; None where there is neither."""
    block = stream.block
    variance = block.moments.variance / block.count
    if block.against is not None:
        return Compared(block.moments.mean, block.against.target, np.sqrt(variance))
    if second is None:
        return None
    other = second.block.moments
    return Compared(block.moments.mean, other.mean, np.sqrt(variance + other.variance / second.block.count))


def coordinate_table(stream: Stream, second: Stream | None) -> pd.DataFrame:
    """The worst coordinates: furthest from what they are compared with, in standard errors; else the noisiest.

    `z` is that distance, `share` the coordinate's share of the variance.
    """
    block, to = stream.block, comparison_of(stream, second)
    variance = block.moments.variance
    share = variance / block.trace if block.trace else np.zeros_like(variance)
    frame = pd.DataFrame({"coordinate": np.arange(len(variance)), "mean": block.moments.mean})
    if to is None:
        return _first(frame.assign(variance=variance, share=share), share)
    off = to.mean - to.value
    rounding = stream.tolerance * block.magnitude
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(np.abs(off) <= rounding, 0.0, off / to.error)
    frame = frame.assign(compared_with=to.value, difference=off, z=z, variance=variance, share=share)
    return _first(frame, np.abs(z))


def _first(frame: pd.DataFrame, by: Float[np.ndarray, " P"]) -> pd.DataFrame:
    """The rows with the largest values of `by`."""
    return frame.iloc[np.argsort(-by, kind="stable")[:WORST_LISTED]].reset_index(drop=True)
