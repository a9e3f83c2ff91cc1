"""Coverage of real timings: ten cells timed repeatedly on this machine, idle or with other processes at work.

The true time of a step on a real machine is unknown. An interval is compared with the grand median: the median of the
values of all other repetitions. A repetition times each cell for 0.3 seconds.

The interval of one run covers changes of the machine within the run alone. The ratio of two runs, with the interval by
which `gradest compare --fail-on` judges (`bench.analysis.repeated_times`), is compared with 1.
"""

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pandas as pd

from bench.analysis.repeated_times import repeated
from bench.measure.timing.ceilings import one_thread
from bench.statistics.interval import Interval
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from bench.sweeps import windows
from bench.tables.metrics import Measurement
from bench.tables.visits import visits_of
from bench.validation.coverage.study import line

SECONDS = 0.3
METRIC = "seconds_per_estimate"
RATIO = "time_ratio"
SUITE = {
    "samples": [4],
    "metrics": ["throughput"],
    "estimators": ["reinforce", "rloo", "disarm", "grpo", "exact"],
    "throughput": {"max_seconds": SECONDS, "replicates": 64},
    "problems": [
        {"distribution": {"name": "bernoulli", "size": size}, "objective": "quadratic_bits"} for size in (5, 10)
    ],
}
"""Ten cells whose steps take well under a millisecond."""


@contextmanager
def idle() -> Iterator[None]:
    """Runs no other process. (The user must ensure that nothing else runs.)"""
    yield


@contextmanager
def busy() -> Iterator[None]:
    """Runs a process per core that alternates between computing and sleeping, each for a random time up to 1 s."""
    count = multiprocessing.cpu_count()
    neighbours = [multiprocessing.Process(target=_neighbour, args=(seed,), daemon=True) for seed in range(count)]
    for each in neighbours:
        each.start()
    try:
        yield
    finally:
        for each in neighbours:
            each.kill()
            each.join()


def _neighbour(seed: int) -> None:
    chance = random.Random(seed)
    while True:
        until = time.monotonic() + chance.random()
        while time.monotonic() < until:
            pass
        time.sleep(chance.random())


REAL = {"real_idle": idle, "real_busy": busy}


def real_lines(name: str, repetitions: int) -> Iterator[dict[str, object]]:
    """Yields one row over all cells: `repetitions` × ten timings, each compared with the others of its cell."""
    with one_thread(), REAL[name]():
        cells = suite_cells(parse_suite(SUITE, name))
        found = pd.DataFrame([{"repetition": index} | row for index in range(repetitions) for row in repetition(cells)])
    yield from lines_of(name, found)


def lines_of(name: str, found: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yields the rows of all repetitions: of single runs, and of ratios of two consecutive runs."""
    relative = [interval for _, own in found.groupby("cell") for interval in against_others(own)]
    every = [own.reset_index(drop=True) for _, own in found.groupby("repetition")]
    ratios = [ratio for first, second in pairwise(every) for ratio in of_two_runs(first, second)]
    for metric, measured in ((METRIC, relative), (RATIO, ratios)):
        yield {"noise": name, "kurtosis": 3.0, "dim": found["cell"].nunique(), "relative_bias": 0.0, "boundary": False,
               **line(metric, 1.0, measured, 0.0)}  # fmt: skip


def repetition(every: list[Cell]) -> Iterator[dict[str, object]]:
    """Times all cells in one window; yields each cell's time with its interval. Raises RuntimeError if a cell fails."""
    for cell, record in zip(every, windows.measure_window(every), strict=True):
        if record["status"] != "ok":
            raise RuntimeError(f"{cell.label}: {record['reason']}")
        (row,) = (row for row in record["measurements"] if row["metric"] == METRIC)
        yield {"cell": cell.id, "value": row["value"], "low": row["ci_low"], "high": row["ci_high"],
               "visits": visits_of(row["method"])}  # fmt: skip


def against_others(own: pd.DataFrame) -> Iterator[Measurement]:
    """Yields a cell's intervals, each divided by the median of the values of its other repetitions."""
    values = own["value"].to_numpy(float)
    for index, (value, low, high) in enumerate(own[["value", "low", "high"]].to_numpy(float)):
        truth = float(np.median(np.delete(values, index)))
        yield Measurement.of(METRIC, Interval(value, low, high).per(truth))


def of_two_runs(first: pd.DataFrame, second: pd.DataFrame) -> Iterator[Measurement]:
    """Yields the ratio of each cell between two runs, with an interval that covers a repetition."""
    above, below = (Interval(*own[["value", "low", "high"]].to_numpy(float).T) for own in (second, first))
    found = repeated(above.over(below), np.minimum(*(own["visits"].to_numpy(float) for own in (first, second))) - 1)
    assert found is not None, "the suite has enough cells"
    for value, low, high in zip(*found.ratio, strict=True):
        yield Measurement.of(RATIO, Interval(float(value), float(low), float(high)))
