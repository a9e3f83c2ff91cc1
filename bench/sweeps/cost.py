"""Estimates the time of cells from the cells that were measured before."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bench.suites.cell import Cell
from bench.tables.records import Key

PRIOR = {"accuracy": 0.5, "throughput": 0.2}
"""Seconds per cell without any record: between the means over the suites `quick` and `core` on one core."""


class Cost:
    """Estimates the seconds of a cell: the mean over the same estimator and problem, else over the problem, else over
    the task."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], tuple[int, float]] = {}

    @classmethod
    def of(cls, cells: Iterable[Cell], latest: Mapping[Key, Mapping[str, Any]]) -> "Cost":
        """The costs in the latest records of these cells."""
        cost, by_id = cls(), {cell.id: cell for cell in cells}
        for (cell, task), found in latest.items():
            if cell in by_id and found["wall_s"] is not None:
                cost.add(by_id[cell], task, found["wall_s"])
        return cost

    def add(self, cell: Cell, task: str, seconds: float) -> None:
        """Adds the measured seconds of a cell's task."""
        for key in _keys(cell, task):
            count, total = self._seen.get(key, (0, 0.0))
            self._seen[key] = count + 1, total + seconds

    @property
    def measured(self) -> bool:
        """Whether any record supports the estimates."""
        return bool(self._seen)

    def expected(self, cell: Cell, task: str) -> float:
        """The expected seconds of a cell's task; `PRIOR` without any record."""
        for key in _keys(cell, task):
            if key in self._seen:
                count, total = self._seen[key]
                return total / count
        return PRIOR.get(task, 0.0)

    def total(self, tasks: Iterable[tuple[Cell, str]], jobs: int) -> float:
        """The expected seconds of all these tasks: accuracy in `jobs` parallel workers, timed tasks one at a time."""
        sums = defaultdict(float)
        for cell, task in tasks:
            sums[task] += self.expected(cell, task)
        return sums["accuracy"] / max(jobs, 1) + sums["throughput"]


def _keys(cell: Cell, task: str) -> tuple[tuple[str, ...], ...]:
    problem = (task, cell.objective, cell.objective_params, cell.distribution, cell.distribution_params, cell.point)
    return (*problem, cell.estimator, cell.mode), problem, (task,)
