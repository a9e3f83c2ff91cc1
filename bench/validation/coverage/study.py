"""One study measures a case as a sweep would; many of them give the coverage of every interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bench.measure.accuracy.measurements import block_measurements
from bench.measure.accuracy.stopping import AccuracySettings, Sampling
from bench.provenance.seeds import chunk_seed
from bench.statistics.control import known_control
from bench.statistics.interval import Interval
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement
from bench.validation.coverage.case import StudyCase
from bench.validation.coverage.noise import NOISES

STUDY_SETTINGS = AccuracySettings(max_replicates=262_144)


@dataclass(frozen=True)
class Study:
    """One measurement of a case: the table's rows by metric, the verdict, the replicates spent."""

    rows: dict[str, Measurement]
    verdict: str
    replicates: int


def study(case: StudyCase, index: int, settings: AccuracySettings = STUDY_SETTINGS) -> Study:
    """Measure synthetic gradients under the sweep's own stopping rule."""
    noise, chunk = NOISES[case.noise], 1 << max(6, min(13, (300_000 // case.dim).bit_length() - 1))
    mean, scale = torch.tensor(case.mean), torch.tensor(case.scale)

    def draw(chunk_index: int) -> Tensor:
        torch.manual_seed(chunk_seed(index, repr(case), chunk_index))
        return mean + scale * noise.draw(chunk, case.dim)

    kept = Replicates({"all": slice(0, case.dim)}, case.target, np.zeros(case.dim))
    ended = Sampling(
        draw, chunk, kept, settings, control=known_control
    ).run()  # the noise's law is known: it hides no event
    rows = {row.metric: row for row in block_measurements(kept.block("all"), "all", None, 1e-12)}
    return Study(rows, ended.verdict.word, kept.drawn)


def summarised(case: StudyCase, studies: list[Study]) -> Iterator[dict[str, object]]:
    """The lines of one case: the coverage of each interval, flagged or not, over the studies that gave one."""
    words = [each.verdict for each in studies]
    for metric, truth in case.truths().items():
        measured = [each.rows["variance" if metric == "variance_ratio" else metric] for each in studies]
        intervals = ratios(measured) if metric == "variance_ratio" else measured
        yield {
            "noise": case.noise,
            "kurtosis": NOISES[case.noise].kurtosis,
            "dim": case.dim,
            "relative_bias": round(case.truths()["relative_bias"], 4),
            **line(metric, truth, intervals, float(np.mean([flagged(each) for each in measured]))),
            "boundary": case.boundary(metric),
            "replicates": float(np.mean([each.replicates for each in studies])),
            **{word: words.count(word) / len(words) for word in ("unbiased", "biased", "unclear")},
        }


def line(metric: str, truth: float, intervals: list[Measurement], flagged: float) -> dict[str, object]:
    """How often the intervals hold the truth, up to rounding, with the standard error that 95 % would have."""
    ends = [(each.ci_low, each.ci_high) for each in intervals if each.ci_low is not None and each.ci_high is not None]
    slack = 1e-9 * abs(truth)
    held = [low - slack <= truth <= high + slack for low, high in ends]
    return {
        "metric": metric,
        "truth": truth,
        "studies": len(intervals),
        "flagged": flagged,
        "coverage": float(np.mean(held)) if held else nan,
        "standard_error": (0.95 * 0.05 / len(held)) ** 0.5 if held else nan,
    }


def flagged(row: Measurement) -> bool:
    """Whether the row says that its interval may not hold, or gives a sentence in its place."""
    return row.ci_low is None or "approximate" in row.method


def ratios(measured: list[Measurement]) -> list[Measurement]:
    """The ratio of every two neighbours."""
    pairs = zip(measured[::2], measured[1::2], strict=False)
    return [Measurement.of("variance_ratio", divided(above, below)) for above, below in pairs]


def divided(above: Measurement, below: Measurement) -> Interval | None:
    """A ratio with its interval, none where one of the two has none."""
    if None in (above.value, above.ci_low, below.value, below.ci_low):
        return None
    one, other = (Interval(each.value, each.ci_low, each.ci_high) for each in (above, below))
    return one.over(other)


def outside(table: pd.DataFrame) -> pd.DataFrame:
    """The lines whose coverage is outside 93–97 % (below 93 % at a boundary) by more than two standard errors.

    Only where the fourth moment exists; flagged or not.
    """
    error = 2 * table["standard_error"]
    low, high = table["coverage"] + error < 0.93, table["coverage"] - error > 0.97
    return table.loc[(table["kurtosis"] < np.inf) & (low | (high & ~table["boundary"]))]
