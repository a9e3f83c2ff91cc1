"""One process that measures a window of cells at a time; a cell that takes it down, or too long, ends alone.

An accuracy task is a window of one cell. When a window of several ends early, the cells that have no record are
measured again: the cell whose turn it was alone when the process died, since another may have harmed it, the others
together.

Each worker has a pipe of its own. A pool whose workers share one (pebble, concurrent.futures) loses other cells'
results when a worker is killed while it holds the pool's lock, breaks when an idle worker dies, and does not
notice `os._exit(0)`.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.cell_record import CellStatus, ended, record
from bench.sweeps.windows import NOBODY
from bench.sweeps.worker import WORKER, Setup, serve
from bench.tables.records import Record
from estimators.errors import BadInput

SPAWN = multiprocessing.get_context("spawn")
FALSE_STARTS = 3
"""How often a worker may die before it is ready, until that is taken for a fault of the set-up."""


Window = tuple[Cell, ...]


@dataclass(frozen=True)
class Answer:
    """What became of a window: its cells' records, and windows of cells that have to be measured again."""

    records: list[tuple[Cell, Record]]
    again: list[Window] = field(default_factory=list)


def answered(window: Window, records: list[Record]) -> Answer:
    """A whole window's records; a cell that found no memory beside others is measured again alone."""
    both = list(zip(window, records, strict=True))
    short = [cell for cell, each in both if each["status"] == "out_of_memory" and len(window) > 1]
    return Answer([pair for pair in both if pair[0] not in short], [(cell,) for cell in short])


def suspects_apart(suspects: list[Cell], cells: list[Cell]) -> Iterator[Window]:
    """Each suspect alone, the others together; halves where nobody is suspect: in the end every cell is alone."""
    others = [cell for cell in cells if cell not in suspects]
    half = len(others) // 2 if not suspects else 0
    yield from ((cell,) for cell in suspects)
    yield from (part for part in (tuple(others[:half]), tuple(others[half:])) if part)


class Isolated:
    """A worker process, replaced whenever it dies. `give` it a window when it is idle, then `take` until an answer
    comes.

    `limit`: the seconds that a cell may take, all its turns in a window together.
    """

    def __init__(self, setup: Setup, limit: float) -> None:
        self.setup, self.limit = setup, limit
        self.work: tuple[Window, Group] | None = None
        self._closed, self._false_starts = False, 0
        self._start()

    @property
    def idle(self) -> bool:
        """Whether it can be given a cell."""
        return self._ready and self.work is None and self._process.is_alive()

    def give(self, window: Window, task: Group) -> None:
        """Starts measuring; the time limit of the first cell runs from here."""
        self.work = (window, task)
        self._seconds, self._since = [0.0] * len(window), time.monotonic()
        self._turn(0)
        with suppress(OSError):  # it has just died: `take` says so
            self._connection.send(self.work)

    def take(self) -> Answer | None:
        """The records of its window if they are there by now: the worker's own, or how the worker ended."""
        while self._connection.poll():
            try:
                heard = self._connection.recv()
            except (EOFError, OSError):
                return self._died()
            if (answer := self._heard(heard)) is not None:
                return answer
        if not self._process.is_alive():
            return self._died()
        if self.work and time.monotonic() > self._deadline:
            return self._replaced("timeout", f"took longer than {self.limit:g} s", self.limit, [self._place])
        return None

    def measure(self, cell: Cell, task: Group) -> Record:
        """The record of one cell, waited for."""
        return self.measure_all((cell,), task)[0]

    def measure_all(self, window: Window, task: Group) -> list[Record]:
        """The records of a window's cells in their order, waited for."""
        found, waiting = {}, [window]
        while waiting:
            answer = self._answer(waiting.pop(), task)
            found |= {cell.id: each for cell, each in answer.records}
            waiting += answer.again
        return [found[cell.id] for cell in window]

    def _answer(self, window: Window, task: Group) -> Answer:
        while not (self.idle or self._closed):
            wait_for([self])
            self.take()
        self.give(window, task)
        while (found := self.take()) is None:
            wait_for([self])
        return found

    def _turn(self, place: int) -> None:
        """The cell at this place goes on: its time limit runs on, and no other's."""
        now = time.monotonic()
        if self._place >= 0:
            self._seconds[self._place] += now - self._since
        self._place, self._since = place, now
        self._deadline = now + self.limit - self._seconds[place] if place >= 0 else float("inf")

    def ends(self) -> tuple[Connection, int]:
        """What becomes readable when it has something to tell, or is dead."""
        return self._connection, self._process.sentinel

    def seconds_left(self) -> float:
        """Until its cell has taken too long."""
        return self._deadline - time.monotonic() if self.work else self.limit

    def close(self) -> None:
        """Ends the process at once, and for good; also from another thread than the one that waits for it."""
        self._closed = True
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._ready, self._deadline, self._place = False, 0.0, NOBODY
        self._connection, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, self.setup), name=WORKER)
        # Ctrl-C is the parent's to handle: the child inherits the mask, from its very first moment. Starting the first
        # process starts Python's resource tracker, which unblocks the signal: so that is done before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def _heard(self, said: Any) -> Answer | None:
        if self._ready and isinstance(said, int):
            self._turn(said)
            return None
        if self._ready and self.work:
            (window, _), self.work, self._place = self.work, None, NOBODY
            return answered(window, said)
        if said:
            raise BadInput(f"a worker cannot start: {said}")
        self._ready, self._false_starts = True, 0
        return None

    def _died(self) -> Answer | None:
        self._process.join(1)  # it may have closed its pipe and live on
        code = self._process.exitcode
        self._false_starts += not self._ready
        if self._false_starts >= FALSE_STARTS:
            raise BadInput(f"a worker cannot start: it died with exit code {code}, {FALSE_STARTS} times")
        lost = [0] if self.work and len(self.work[0]) == 1 else []
        return self._replaced("crashed", f"the worker died with exit code {code}", 0.0, lost)

    def _replaced(self, status: CellStatus, reason: str, seconds: float, lost: list[int]) -> Answer | None:
        """Starts a fresh process. Of the window that the old one had: records of the cells at the places `lost`."""
        self._process.kill()
        self._process.join()
        self._connection.close()
        work, self.work = self.work, None
        place, self._place = self._place, NOBODY
        if not self._closed:
            self._start()
        if work is None:
            return None
        window, task = work
        outcome = ended(status, reason)
        records = [(window[each], record(window[each], task, outcome, seconds) | {"threads": 1}) for each in lost]
        rest = [cell for index, cell in enumerate(window) if index not in lost]
        suspect = [window[place]] if window[place] in rest and place >= 0 else []
        return Answer(records, [*suspects_apart(suspect, rest)] if not lost else [tuple(rest)] * bool(rest))


def wait_for(workers: list[Isolated]) -> None:
    """Returns when one of them has something to tell or has run out of time, within a second in any case."""
    seconds = min([1.0, *(worker.seconds_left() for worker in workers)])
    wait([end for worker in workers for end in worker.ends()], timeout=max(0.0, seconds))
