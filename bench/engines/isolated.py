"""One process that measures one cell at a time; a cell that takes it down, or too long, ends alone.

Each worker has a pipe of its own. A pool whose workers share one (pebble, concurrent.futures) loses other cells'
results when a worker is killed while it holds the pool's lock, breaks when an idle worker dies, and does not
notice `os._exit(0)`.
"""

import multiprocessing
import signal
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.cell import Cell, Record, Status, ended, record
from bench.config import Group
from bench.worker import WORKER, Setup, serve
from estimators.errors import BadInput

SPAWN = multiprocessing.get_context("spawn")
FALSE_STARTS = 3
"""How often a worker may die before it is ready, until that is taken for a fault of the set-up."""


class Isolated:
    """A worker process, replaced whenever it dies. `give` it a cell when it is idle, then `take` until a record comes.

    `limit`: the seconds that a cell may take.
    """

    def __init__(self, setup: Setup, limit: float) -> None:
        self.setup, self.limit = setup, limit
        self.work: tuple[Cell, Group] | None = None
        self._closed, self._false_starts = False, 0
        self._start()

    @property
    def idle(self) -> bool:
        """Whether it can be given a cell."""
        return self._ready and self.work is None and self._process.is_alive()

    def give(self, cell: Cell, task: Group) -> None:
        """Starts measuring; the time limit runs from here."""
        self.work = (cell, task)
        self._deadline = time.monotonic() + self.limit
        with suppress(OSError):  # it has just died: `take` says so
            self._connection.send(self.work)

    def take(self) -> Record | None:
        """The record of its cell if there is one by now: the worker's own, or how the worker ended."""
        if self._connection.poll():
            try:
                return self._heard(self._connection.recv())
            except (EOFError, OSError):
                return self._died()
        if not self._process.is_alive():
            return self._died()
        if self.work and time.monotonic() > self._deadline:
            return self._replaced("timeout", f"took longer than {self.limit:g} s", self.limit)
        return None

    def measure(self, cell: Cell, task: Group) -> Record:
        """The record of one cell, waited for."""
        while not (self.idle or self._closed):
            wait_for([self])
            self.take()
        self.give(cell, task)
        while (found := self.take()) is None:
            wait_for([self])
        return found

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
        self._ready, self._deadline = False, 0.0
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

    def _heard(self, said: Any) -> Record | None:
        if self._ready:
            self.work = None
            return said
        if said:
            raise BadInput(f"a worker cannot start: {said}")
        self._ready, self._false_starts = True, 0
        return None

    def _died(self) -> Record | None:
        self._process.join(1)  # it may have closed its pipe and live on
        code = self._process.exitcode
        self._false_starts += not self._ready
        if self._false_starts >= FALSE_STARTS:
            raise BadInput(f"a worker cannot start: it died with exit code {code}, {FALSE_STARTS} times")
        return self._replaced("crashed", f"the worker died with exit code {code}", 0.0)

    def _replaced(self, status: Status, reason: str, seconds: float) -> Record | None:
        """Starts a fresh process; the record of the cell that the old one had, if it had one."""
        self._process.kill()
        self._process.join()
        self._connection.close()
        lost, self.work = self.work, None
        if not self._closed:
            self._start()
        return record(*lost, ended(status, reason), seconds) | {"threads": 1} if lost else None


def wait_for(workers: list[Isolated]) -> None:
    """Returns when one of them has something to tell or has run out of time, within a second in any case."""
    seconds = min([1.0, *(worker.seconds_left() for worker in workers)])
    wait([end for worker in workers for end in worker.ends()], timeout=max(0.0, seconds))
