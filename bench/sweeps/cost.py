"""Estimates the time of cells: predicted, and corrected by the cells that were measured before."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from bench.suites.cell import Cell
from bench.sweeps.expected_time import modelled_seconds
from bench.tables.records import Key


class Cost:
    """Estimates the seconds of a cell: predicted seconds × the ratio of measured to predicted seconds over cells of the
    same estimator and problem, else of the problem, else of the task.

    Args:
        limit: Seconds that a cell may take.
    """

    def __init__(self, limit: float = inf) -> None:
        self.limit = limit
        self._seen: dict[tuple[str, ...], tuple[float, float]] = {}

    @classmethod
    def of(cls, cells: Iterable[Cell], latest: Mapping[Key, Mapping[str, Any]], limit: float = inf) -> "Cost":
        """The costs in the latest records of these cells."""
        cost, by_id = cls(limit), {cell.id: cell for cell in cells}
        for (cell, task), found in latest.items():
            if cell in by_id and found["wall_s"] is not None:
                cost.add(by_id[cell], task, found["wall_s"])
        return cost

    def add(self, cell: Cell, task: str, seconds: float) -> None:
        """Adds the measured seconds of a cell's task."""
        predicted = self.predicted(cell, task)
        for key in _keys(cell, task):
            measured, modelled = self._seen.get(key, (0.0, 0.0))
            self._seen[key] = measured + seconds, modelled + predicted

    @property
    def measured(self) -> bool:
        """Whether any record supports the estimates."""
        return bool(self._seen)

    def predicted(self, cell: Cell, task: str) -> float:
        """The predicted seconds of a cell's task, without records."""
        return min(modelled_seconds(cell, task), self.limit)

    def expected(self, cell: Cell, task: str) -> float:
        """The expected seconds of a cell's task."""
        for key in _keys(cell, task):
            measured, modelled = self._seen.get(key, (0.0, 0.0))
            if modelled:
                return min(self.predicted(cell, task) * measured / modelled, self.limit)
        return self.predicted(cell, task)

    def total(self, tasks: Iterable[tuple[Cell, str]], jobs: int) -> float:
        """The expected seconds of all these tasks: accuracy in `jobs` parallel workers, timed tasks one at a time."""
        sums, longest = defaultdict(float), 0.0
        for cell, task in tasks:
            seconds = self.expected(cell, task)
            sums[task] += seconds
            longest = max(longest, seconds) if task == "accuracy" else longest
        return max(sums["accuracy"] / max(jobs, 1), longest) + sums["throughput"]


SHORT_SHARE = 0.02
"""Of the expected seconds of each worker: cells that take less stay in the order of the suite."""


def longest_first(cells: Sequence[Cell], task: str, cost: Cost, jobs: int) -> list[Cell]:
    """The cells in the order in which workers get them: the long ones first, the longest at the start.

    So no worker is left alone with a long cell at the end. Short cells keep their order, in which cells of one problem
    follow each other and share its exact gradient.
    """
    seconds = [cost.expected(cell, task) for cell in cells]
    short = SHORT_SHARE * sum(seconds) / max(jobs, 1)
    order = sorted(range(len(cells)), key=lambda index: -seconds[index] if seconds[index] > short else 0.0)
    return [cells[index] for index in order]


def _keys(cell: Cell, task: str) -> tuple[tuple[str, ...], ...]:
    problem = (task, cell.objective, cell.objective_params, cell.distribution, cell.distribution_params, cell.point)
    return (*problem, cell.estimator, cell.mode), problem, (task,)
