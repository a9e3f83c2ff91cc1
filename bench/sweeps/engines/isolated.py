"""A process that measures one window of cells at a time; a cell that crashes it or takes too long affects no other.

An accuracy task is a window of one cell. When the process dies in a window of several cells, the cells without a record
are measured again: the cell whose turn it was alone, because another cell may have caused the crash, and the others
together.

A cell whose process dies, runs out of memory beside what earlier cells kept, or sends something that is not its answer
is measured once more in a fresh process, whose ending counts: the cause may lie outside the cell. If the process was
killed, this happens twice.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from bench.isolation import process
from bench.isolation.child import Said
from bench.isolation.endings import Died, Failure, Garbled, OutOfMemory, Raised, Returned, TimedOut
from bench.isolation.process import Process
from bench.provenance.identity import canonical
from bench.suites.cell import IDENTITY, Cell
from bench.suites.suite import Group
from bench.sweeps.cell_record import CellStatus, ended, record
from bench.sweeps.windows import NOBODY
from bench.sweeps.worker import Setup, WindowResult, start_worker
from bench.system.optional import KILL
from bench.tables.columns import SCHEMA
from bench.tables.records import Record, parsed
from estimators.errors import BadInput

Window = tuple[Cell, ...]
KILLED = (-KILL, -signal.SIGTERM)
"""Exit codes of a process that was killed, by a person or by the system when memory is short."""


@dataclass(frozen=True)
class Answer:
    """The result of a window: records of its cells, and windows of cells that must be measured again."""

    records: list[tuple[Cell, Record]]
    again: list[Window] = field(default_factory=list)


def _tries(ending: Failure) -> int:
    """How often a cell is measured whose task ends so: a signal that kills a process may come from anywhere."""
    if isinstance(ending, TimedOut):
        return 1
    return 3 if isinstance(ending, Died) and ending.code in KILLED else 2


def checked_answer(window: Window, task: Group, found: object) -> WindowResult | Garbled:
    """The answer of a worker to a window: one valid record of each of its cells, in order, or `Garbled`."""
    if not isinstance(found, WindowResult) or len(found.records) != len(window):
        return Garbled()
    try:
        fitting = all(_of_cell(each, cell, task) for each, cell in zip(found.records, window, strict=True))
    except (BadInput, TypeError, ValueError, AttributeError):
        return Garbled()
    return found if fitting else Garbled()


def _of_cell(found: Record, cell: Cell, task: Group) -> bool:
    """Whether a record names a cell, all that determines its number, and a task, and can be read back."""
    identity = {name: getattr(cell, name) for name in (*IDENTITY, "plugin", "source_digest")}
    parsed(canonical({"env": "", **found}).encode(), SCHEMA, "the answer")
    return found["cell"] == cell.id and found["task"] == task and {**found, **identity} == found


def answered(window: Window, found: WindowResult) -> Answer:
    """The result of a complete window; a cell that ran out of memory beside other cells is measured again alone."""
    both = list(zip(window, found.records, strict=True))
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
        self._waits, self._tries = False, 1
        """Whether the window waits for a fresh process; how often it has been measured, this time included."""

    @property
    def idle(self) -> bool:
        """Whether the worker is ready for a window."""
        return self.work is None and self.process.idle

    def give(self, window: Window, task: Group) -> None:
        """Starts measuring a window; in a fresh process if the current one has measured cells of other plug-ins."""
        self.work = (window, task)
        self._tries = 1
        if self.process.tasks and window[0].plugin != self._plugin:
            self._afresh()
        else:
            self._send()

    def take(self) -> Answer | None:
        """Returns the answer for the window if the worker has finished or ended, else None. Does not wait."""
        if self._waits:
            self.process.take()
            if self.process.closed:
                return self._answer_of(Died(None))
            if self.process.idle:
                self._send()
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

    def _send(self) -> None:
        """Sends the window. An accuracy cell's time limit runs from here, a timed cell's during its turns."""
        assert self.work
        window, task = self.work
        self._waits, self._plugin = False, window[0].plugin
        self._seconds, self._place, self._since = [0.0] * len(window), NOBODY, time.monotonic()
        self.process.send(self.work)
        self._turn(0 if task == "accuracy" else NOBODY)

    def _afresh(self) -> None:
        """Measures the window in a fresh process."""
        self._waits = True
        self.process.restart()

    def _turn(self, place: int) -> None:
        """Starts the turn of the cell at index `place`: only its time limit runs."""
        now = time.monotonic()
        if self._place != NOBODY:
            self._seconds[self._place] += now - self._since
        self._place, self._since = place, now
        self.process.deadline = now + self.limit - self._seconds[place] if place != NOBODY else inf

    def _answer_of(self, ending: Returned | Failure) -> Answer | None:
        """The answer for the window whose task ended; None if it is measured once more."""
        assert self.work
        window, task = work = self.work
        used = self.process.tasks > 1
        found = checked_answer(window, task, ending.value) if isinstance(ending, Returned) else ending
        if isinstance(found, WindowResult):
            short = any(each["status"] == "out_of_memory" for each in found.records)
            if short and used and len(window) == 1 and self._tries == 1:
                return self._once_more()
            if short or found.left:
                self.process.restart()
            self.work = None
            return Answer([], [(cell,) for cell in window]) if found.left and window[1:] else answered(window, found)
        if isinstance(found, Raised) and found.kind == "BadInput":
            raise BadInput(found.text)
        if len(window) == 1 and self._tries < _tries(found) and not self.process.closed:
            return self._once_more()
        self.work = None
        match found:
            case TimedOut():
                return self._lost(work, "timeout", f"took longer than {self.limit:g} s", self.limit, [self._place])
            case OutOfMemory(text):
                status, reason = "out_of_memory", text
            case _:
                status, reason = "crashed", f"the worker {'raised ' * isinstance(found, Raised)}{found}"
        if not isinstance(found, Died | Garbled):  # these are replaced already
            self.process.restart()
        return self._lost(work, status, reason, 0.0, [0] if len(window) == 1 else [])

    def _once_more(self) -> None:
        self._tries += 1
        self._afresh()

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


def wait_for_workers(workers: Sequence[Isolated]) -> list[Isolated]:
    """Waits until a worker has news or reaches its time limit, at most one second; returns the workers to ask."""
    return [workers[index] for index in process.wait_for([worker.process for worker in workers])]
