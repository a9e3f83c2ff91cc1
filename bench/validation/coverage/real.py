"""Real timings: ten cells timed again and again on this machine, idle or with a neighbour that works at times.

Nobody knows the true time of a step on a real machine. What an interval should hold is the grand median: the median
over all other repetitions of the values that they report. A cell is timed at 0.3 seconds a repetition.
"""

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from bench.measure.timing.ceilings import one_thread
from bench.statistics.interval import Interval
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from bench.sweeps import windows
from bench.tables.metrics import Measurement
from bench.validation.coverage.study import line

SECONDS = 0.3
METRIC = "seconds_per_estimate"
SUITE = {
    "samples": [4],
    "metrics": ["throughput"],
    "estimators": ["reinforce", "rloo", "disarm", "grpo", "exact"],
    "throughput": {"max_seconds": SECONDS, "replicates": 64},
    "problems": [
        {"distribution": {"name": "bernoulli", "size": size}, "objective": "quadratic_bits"} for size in (5, 10)
    ],
}
"""Ten cells, whose steps take well under a millisecond."""


@contextmanager
def idle() -> Iterator[None]:
    """No neighbour. (That nothing else runs is for the user to see to.)"""
    yield


@contextmanager
def busy() -> Iterator[None]:
    """A neighbour per core that computes for a random part of each second."""
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
    """One line over all cells; `repetitions` × ten timings, of which each is held against the others of its cell."""
    with one_thread(), REAL[name]():
        found = pd.DataFrame(
            [row for _ in range(repetitions) for row in repetition(suite_cells(parse_suite(SUITE, name)))]
        )
    relative = [interval for _, own in found.groupby("cell") for interval in against_others(own)]
    yield {"noise": name, "kurtosis": 3.0, "dim": found["cell"].nunique(), "relative_bias": 0.0, "boundary": False,
           **line(METRIC, 1.0, relative, 0.0)}  # fmt: skip


def repetition(every: list[Cell]) -> Iterator[dict[str, object]]:
    """One window of all cells: each one's time with its interval."""
    for cell, record in zip(every, windows.measure_window(every), strict=True):
        if record["status"] != "ok":
            raise RuntimeError(f"{cell.label}: {record['reason']}")
        (row,) = (row for row in record["measurements"] if row["metric"] == METRIC)
        yield {"cell": cell.id, "value": row["value"], "low": row["ci_low"], "high": row["ci_high"]}


def against_others(own: pd.DataFrame) -> Iterator[Measurement]:
    """A cell's intervals, each relative to the median of the values of its other repetitions."""
    values = own["value"].to_numpy(float)
    for index, (value, low, high) in enumerate(own[["value", "low", "high"]].to_numpy(float)):
        truth = float(np.median(np.delete(values, index)))
        yield Measurement.of(METRIC, Interval(value, low, high).per(truth))
