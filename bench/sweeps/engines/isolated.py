"""A process that measures one window of cells at a time; a cell that crashes it or takes too long affects no other.

An accuracy task is a window of one cell. When the process dies in a window of several cells, the cells without a record
are measured again: the cell whose turn it was alone, because another cell may have caused the crash, and the others
together.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from bench.isolation import process
from bench.isolation.child import Said
from bench.isolation.endings import Died, Failure, OutOfMemory, Returned, TimedOut
from bench.isolation.process import Process
from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.cell_record import CellStatus, ended, record
from bench.sweeps.windows import NOBODY
from bench.sweeps.worker import Setup, start_worker
from bench.tables.records import Record

Window = tuple[Cell, ...]


@dataclass(frozen=True)
class Answer:
    """The result of a window: records of its cells, and windows of cells that must be measured again."""

    records: list[tuple[Cell, Record]]
    again: list[Window] = field(default_factory=list)


def answered(window: Window, records: list[Record]) -> Answer:
    """The result of a complete window; a cell that ran out of memory beside other cells is measured again alone."""
    both = list(zip(window, records, strict=True))
    short = [cell for cell, each in both if each["status"] == "out_of_memory" and len(window) > 1]
    return Answer([pair for pair in both if pair[0] not in short], [(cell,) for cell in short])


def suspects_apart(suspects: list[Cell], cells: list[Cell]) -> Iterator[Window]:
    """Windows for measuring again: each suspect alone and the others together, or two halves without a suspect."""
    others = [cell for cell in cells if cell not in suspects]
    half = len(others) // 2 if not suspects else 0
    yield from ((cell,) for cell in suspects)
    yield from (part for part in (tuple(others[:half]), tuple(others[half:])) if part)


class Isolated:
    """A worker process, replaced whenever it dies. Call `give` with a window when it is idle, then `take` until it
    returns an answer.

    Args:
        setup: Settings of the worker.
        limit: Seconds that a cell may take, over all its turns in a window.
    """

    def __init__(self, setup: Setup, limit: float) -> None:
        self.setup, self.limit = setup, limit
        self.process = Process(start_worker, setup, memory=setup.memory)
        self.work: tuple[Window, Group] | None = None

    @property
    def idle(self) -> bool:
        """Whether the worker is ready for a window."""
        return self.work is None and self.process.idle

    def give(self, window: Window, task: Group) -> None:
        """Starts measuring a window. An accuracy cell's time limit runs from here, a timed cell's during its turns."""
        self.work = (window, task)
        self._seconds, self._place, self._since = [0.0] * len(window), NOBODY, time.monotonic()
        self.process.send(self.work)
        self._turn(0 if task == "accuracy" else NOBODY)

    def take(self) -> Answer | None:
        """Returns the answer for the window if the worker has finished or ended, else None. Does not wait."""
        while heard := self.process.take():
            if not isinstance(heard, Said):
                return self._answer_of(heard)
            self._turn(heard.message)
        return None

    def measure(self, cell: Cell, task: Group) -> Record:
        """Measures one cell, waits, and returns its record."""
        return self.measure_all((cell,), task)[0]

    def measure_all(self, window: Window, task: Group) -> list[Record]:
        """Measures the cells of a window, waits, and returns their records in order."""
        found, waiting = {}, [window]
        while waiting:
            answer = self._answer(waiting.pop(), task)
            found |= {cell.id: each for cell, each in answer.records}
            waiting += answer.again
        return [found[cell.id] for cell in window]

    def close(self) -> None:
        """Ends the process at once and for good. May be called from another thread than the waiting thread."""
        self.process.close()

    def _answer(self, window: Window, task: Group) -> Answer:
        while not (self.idle or self.process.closed):
            wait_for_workers([self])
            self.take()
        self.give(window, task)
        while (found := self.take()) is None:
            wait_for_workers([self])
        return found

    def _turn(self, place: int) -> None:
        """Starts the turn of the cell at index `place`: only its time limit runs."""
        now = time.monotonic()
        if self._place != NOBODY:
            self._seconds[self._place] += now - self._since
        self._place, self._since = place, now
        self.process.deadline = now + self.limit - self._seconds[place] if place != NOBODY else inf

    def _answer_of(self, ending: Returned | Failure) -> Answer:
        assert self.work
        (window, _), work, self.work = self.work, self.work, None
        match ending:
            case Returned(records):
                return answered(window, records)
            case TimedOut():
                return self._lost(work, "timeout", f"took longer than {self.limit:g} s", self.limit, [self._place])
            case Died(code):
                status, reason = "crashed", f"the worker died with exit code {code}"
            case OutOfMemory(text):
                status, reason = "out_of_memory", text
            case _:  # an error outside the cell
                self.process.restart()
                status, reason = "crashed", f"the worker raised {ending}"
        return self._lost(work, status, reason, 0.0, [0] if len(window) == 1 else [])

    def _lost(
        self, work: tuple[Window, Group], status: CellStatus, reason: str, seconds: float, lost: list[int]
    ) -> Answer:
        """The answer for a window whose process ended early: failed records for the cells at the indices `lost`, the
        other cells again."""
        window, task = work
        outcome = ended(status, reason)
        records = [(window[each], record(window[each], task, outcome, seconds) | {"threads": 1}) for each in lost]
        rest = [cell for index, cell in enumerate(window) if index not in lost]
        suspect = [window[self._place]] if self._place != NOBODY and window[self._place] in rest else []
        return Answer(records, [*suspects_apart(suspect, rest)] if not lost else [tuple(rest)] * bool(rest))


def wait_for_workers(workers: Sequence[Isolated]) -> None:
    """Waits until a worker has news or reaches its time limit, at most one second."""
    process.wait_for([worker.process for worker in workers])
