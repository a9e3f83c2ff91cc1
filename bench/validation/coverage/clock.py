"""Times: a made clock with a known median in place of the machine's, and a variance measured beside it."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from bench.measure.timing.blocks import VISITS, ThroughputSettings, Timing, Visited
from bench.provenance.seeds import chunk_seed
from bench.tables.derived import derived
from bench.tables.metrics import Measurement
from bench.validation.coverage.case import StudyCase
from bench.validation.coverage.study import line, study

MEDIAN = 0.01
CASE = StudyCase("normal", 10, 0.0)
OTHERS = 15
"""Cells that are visited between two visits of a cell, each for as long."""

Clock = Callable[[float], float]
"""The seconds of one step in a block that begins at a time; their median is `MEDIAN`."""


def steady(rng: np.random.Generator) -> Clock:
    """A machine to itself: 2 % of spread."""
    return lambda now: MEDIAN * float(np.exp(0.02 * rng.standard_normal()))


def spiky(rng: np.random.Generator) -> Clock:
    """A shared machine: 10 % of spread, and one block in twenty takes up to five times as long or as short."""

    def seconds(now: float) -> float:
        spread = np.log(5) if rng.random() < 0.05 else 0.1
        return MEDIAN * float(np.exp(spread * rng.standard_normal()))

    return seconds


def correlated_blocks(rng: np.random.Generator, memory: float = 0.5) -> Clock:
    """Blocks that resemble their neighbours: 5 % of spread that is forgotten over half a second, and 2 % beside."""
    last, state = 0.0, float(rng.standard_normal())

    def seconds(now: float) -> float:
        nonlocal last, state
        kept = np.exp(-(now - last) / memory)
        last, state = now, float(kept * state + np.sqrt(1 - kept**2) * rng.standard_normal())
        return MEDIAN * float(np.exp(0.05 * state + 0.02 * rng.standard_normal()))

    return seconds


def slow_seconds(rng: np.random.Generator) -> Clock:
    """A neighbour that works in a random third of all seconds, in which a step takes half as long again."""
    slow: dict[int, bool] = {}
    start = rng.random()

    def seconds(now: float) -> float:
        busy = slow.setdefault(int(now + start), rng.random() < 1 / 3)
        return MEDIAN * float(np.exp(0.02 * rng.standard_normal())) * (1.5 if busy else 1.0)

    return seconds


def waving(rng: np.random.Generator) -> Clock:
    """A clock that drifts up and down by 5 % every 4 seconds, from a random moment on, and 2 % of spread."""
    start = rng.random()
    return lambda now: (
        MEDIAN * float(np.exp(0.05 * np.sin(2 * np.pi * (now / 4 + start)) + 0.02 * rng.standard_normal()))
    )


CLOCKS: dict[str, Callable[[np.random.Generator], Clock]] = {
    "steady_clock": steady,
    "spiky_clock": spiky,
    "correlated_clock": correlated_blocks,
    "slow_seconds_clock": slow_seconds,
    "waving_clock": waving,
}


class Machine:
    """Steps whose seconds a made clock gives, block by block; `now`: the seconds that all took."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.now = clock, 0.0

    def __call__(self, number: int) -> float:
        taken = number * self.clock(self.now)
        self.now += taken
        return taken

    def timing(self, settings: ThroughputSettings) -> Timing:
        """A cell's time, with the visits of other cells between its own."""
        visited = Visited(self, settings, clock=lambda: self.now)
        for _ in range(VISITS):
            began = self.now
            visited.visit()
            self.now += OTHERS * (self.now - began)
        return visited.timing()


def clock_lines(name: str, index: range, settings: ThroughputSettings) -> Iterator[dict[str, object]]:
    """The lines of one clock: the time's interval, and that of variance × time."""
    rows = pd.DataFrame([row for i in index for row in timed_cell_rows(name, i, settings)])
    table = pd.concat([rows, derived(rows)], ignore_index=True)
    truths = {
        "seconds_per_estimate": MEDIAN,
        "estimates_per_second": 1 / MEDIAN,
        "work_normalised_variance": CASE.truths()["variance"] * MEDIAN,
    }
    for metric, truth in truths.items():
        own = table[table["metric"] == metric]
        intervals = [
            Measurement(metric, *ends) for ends in zip(own["value"], own["ci_low"], own["ci_high"], strict=True)
        ]
        yield {"noise": name, "kurtosis": 3.0, "dim": CASE.dim, "relative_bias": 0.0, "boundary": False,
               **line(metric, truth, intervals, 0.0)}  # fmt: skip


def timed_cell_rows(name: str, index: int, settings: ThroughputSettings) -> list[dict[str, object]]:
    """One cell's time and variance, as rows of the table."""
    rng = np.random.default_rng(chunk_seed(index, name, 0))
    time = Machine(CLOCKS[name](rng)).timing(settings).seconds
    variance = study(CASE, index).rows["variance"]
    cell = {"cell": f"{name} {index}", "block": "all"}
    return [
        {**cell, "metric": "variance", "value": variance.value, "ci_low": variance.ci_low, "ci_high": variance.ci_high},
        {**cell, "metric": "seconds_per_estimate", "value": time.value, "ci_low": time.low, "ci_high": time.high},
    ]
