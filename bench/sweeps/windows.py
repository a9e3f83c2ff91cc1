"""Measures timed cells in windows: all cells of a window are kept warm in one process and visited in turn.

Between two visits to a cell, the other cells are visited, so that its interval covers changes of the machine over this
time (`bench.measure.timing.blocks.Visited`). Each cell is fitted and compiled once. An exception in a cell ends only
this cell and is reported in its record.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

from bench.measure.execution.modes import kept_generator
from bench.measure.execution.process_state import Kept
from bench.measure.timing.blocks import VISITS
from bench.measure.timing.lock import alone
from bench.measure.timing.throughput import Warm
from bench.suites.cell import Cell, estimator_of, problem_of
from bench.sweeps.cell_record import attempt, ended, execution, finished, record, settings_of
from bench.tables.records import Record

WINDOW_CELLS = 16
"""The largest number of cells in a window. Sweeps of nine cells or more have windows of 8 to 16 cells."""
NOBODY = -1
"""Index that stands for no cell: the window waits, and no cell's time limit runs."""
At = Callable[[int], object]
"""Called with the index of the cell whose turn begins."""


def windows(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Splits the cells of a device into windows of nearly equal length, in order: 17 cells into windows of 9 and 8."""
    count = ceil(len(cells) / WINDOW_CELLS)
    edges = [ceil(index * len(cells) / count) for index in range(count + 1)] if count else []
    return [tuple(cells[start:end]) for start, end in pairwise(edges)]


def measure_window(cells: Sequence[Cell], at: At = lambda place: None) -> list[Record]:
    """Measures the cells of one window and returns their records, in order.

    Args:
        cells: Cells on one device; a single cell is visited once.
        at: Called with the index of the cell whose turn begins, or `NOBODY`.
    """
    turns = [_Turns(cell, VISITS if len(cells) > 1 else 1) for cell in cells]

    def each(action: Callable[[_Turns], None]) -> None:
        for place, own in enumerate(turns):
            if own.outcome is None:
                at(place)
                own.do(action)
        at(NOBODY)

    at(NOBODY)  # waiting for the device does not count for any cell
    with alone(cells[0].device), kept_generator(cells[0].device):
        each(_Turns.open)
        each(_Turns.first)
        for index in range(VISITS if len(cells) > 1 else 1):
            each(lambda own, index=index: own.visit(index))
        each(_Turns.end)
    return [own.record() for own in turns]


class _Turns:
    """The turns of one cell in a window, its seconds, and its outcome."""

    def __init__(self, cell: Cell, visits: int) -> None:
        self.cell, self.visits, self.seconds = cell, visits, 0.0
        self.warm: Warm | None = None
        self.outcome: Record | None = None
        self.changed: dict[str, None] = {}

    def do(self, action: Callable[["_Turns"], None]) -> None:
        """Runs one turn. An exception ends the cell and frees its memory."""
        began = time.perf_counter()
        with Kept() as kept:
            failed = attempt(lambda: action(self))
        if failed:
            self.outcome = failed
        if self.outcome and self.warm:
            attempt(self.warm.__exit__)
            self.warm = None
        self.changed |= dict.fromkeys(kept.changed)
        self.seconds += time.perf_counter() - began

    def open(self) -> None:
        cell, settings = self.cell, settings_of("throughput", self.cell.throughput)
        self.problem = problem_of(cell)
        self.warm = Warm(self.problem, estimator_of(cell), cell.samples, settings, execution(cell), visits=self.visits)

    def first(self) -> None:
        self._warm.first()

    def visit(self, index: int) -> None:
        self._warm.visit(index)

    def end(self) -> None:
        self.outcome = finished(self._warm.outcome(), self.problem)

    @property
    def _warm(self) -> Warm:
        assert self.warm is not None
        return self.warm

    def record(self) -> Record:
        found = self.outcome or ended("failed", "the window ended before the cell was measured")
        if self.changed:
            said = f"changed {' and '.join(self.changed)}: restored"
            found["reason"] = "; ".join(filter(None, (found["reason"], said)))
        return record(self.cell, "throughput", found, self.seconds)
