"""Times: a made clock with a known median in place of the machine's, and a variance measured beside it."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from bench.coverage.case import Case
from bench.coverage.study import line, study
from bench.derived import derived
from bench.metrics import Measurement
from bench.seeds import chunk_seed
from bench.timing import ThroughputSettings, timed

MEDIAN = 0.01
CASE = Case("normal", 10, 0.0)

Clock = Callable[[np.random.Generator], float]
"""The seconds of one step; their median is `MEDIAN`."""


def steady(rng: np.random.Generator) -> float:
    """A machine to itself: 2 % of spread."""
    return MEDIAN * float(np.exp(0.02 * rng.standard_normal()))


def spiky(rng: np.random.Generator) -> float:
    """A shared machine: 10 % of spread, and one block in twenty takes up to five times as long or as short."""
    spread = np.log(5) if rng.random() < 0.05 else 0.1
    return MEDIAN * float(np.exp(spread * rng.standard_normal()))


CLOCKS: dict[str, Clock] = {"steady_clock": steady, "spiky_clock": spiky}


class Machine:
    """Steps whose seconds a made clock draws, block by block; `now`: the seconds that all took."""

    def __init__(self, draw: Clock, rng: np.random.Generator) -> None:
        self.draw, self.rng, self.now = draw, rng, 0.0

    def __call__(self, number: int) -> float:
        taken = number * self.draw(self.rng)
        self.now += taken
        return taken


def clock_lines(name: str, index: range, settings: ThroughputSettings) -> Iterator[dict[str, object]]:
    """The lines of one clock: the time's interval, and that of variance × time."""
    rows = pd.DataFrame([row for i in index for row in measured(name, i, settings)])
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


def measured(name: str, index: int, settings: ThroughputSettings) -> list[dict[str, object]]:
    """One cell's time and variance, as rows of the table."""
    rng = np.random.default_rng(chunk_seed(index, name, 0))
    machine = Machine(CLOCKS[name], rng)
    time = timed(machine, settings, clock=lambda: machine.now)
    variance = study(CASE, index).rows["variance"]
    cell = {"cell": f"{name} {index}", "block": "all"}
    return [
        {**cell, "metric": "variance", "value": variance.value, "ci_low": variance.ci_low, "ci_high": variance.ci_high},
        {**cell, "metric": "seconds_per_estimate", "value": time.median, "ci_low": time.low, "ci_high": time.high},
    ]
