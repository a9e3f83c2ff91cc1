"""A process that does one task after another; one that hangs, dies or asks for too much memory ends alone.

Each process has a pipe of its own. A pool whose workers share one (pebble, concurrent.futures) loses other tasks'
results when a worker is killed while it holds the pool's lock, breaks when an idle worker dies, and does not
notice `os._exit(0)`.
"""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.isolation.child import NAME, Action, Said, Started, serve
from bench.isolation.endings import SIGNS, Died, Ending, OutOfMemory, Raised, TimedOut
from estimators.errors import BadInput

SPAWN = multiprocessing.get_context("spawn")
FALSE_STARTS = 3
"""How often a process may die before it is ready, until that is taken for a fault of what it starts with."""
STARTING = 600.0
"""Seconds after which a process that is not ready is taken for one that never will be."""
TAIL = 4000
"""Bytes that are kept of what a process prints."""


class Process:
    """A process of its own, replaced by a fresh one whenever it dies or takes too long.

    In the process, `start(*arguments)` is called once; it returns the function `action(task, say)`, which does one
    task after another, may tell something on the way with `say(message)`, and returns the answer. `start`, tasks,
    messages and answers travel by pickle: functions by the name of their module (what has none, as a function of a
    notebook, travels as bytes that cloudpickle makes of it). Tensors are copied.

    The process has a process group of its own, which is killed with it: what a task has started does not outlive it.
    It prints to its parent, where only the end is kept for `Died.printed`. It ends when its parent does, and Ctrl-C
    does not reach it.

    Args:
        start: What makes a fresh process ready.
        arguments: What `start` is called with.
        memory: Bytes of data that the process may hold (RLIMIT_DATA), once the module of `start` is imported. None on
            an accelerator, whose driver maps more than there is.

    >>> with closing(Process(start)) as process:  # doctest: +SKIP
    ...     ending = process.do(task, seconds=3.0, heard=print)
    """

    def __init__(self, start: Callable[..., Action], *arguments: Any, memory: int | None = None) -> None:
        self.memory = memory
        self.deadline = inf
        """When the task has taken too long, by `time.monotonic()`; whoever gave the task may move it."""
        self.closed = False
        """Whether it was ended for good."""
        self._packed, self._false_starts = pickle.dumps((start, arguments)), 0
        self._start()

    @property
    def idle(self) -> bool:
        """Whether it can be given a task."""
        return self._ready and not self._busy and self._process.is_alive()

    @property
    def pid(self) -> int:
        """The system's number of the process that is there now."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, task: Any, seconds: float = inf) -> None:
        """Gives an idle process a task, which may take so many seconds; `take` says what becomes of it."""
        self._listen()
        self._busy, self._seconds, self._printed = True, seconds, b""
        self.deadline = time.monotonic() + seconds
        packed = pickle.dumps(task)
        with suppress(OSError):  # it has just died: `take` says so
            self._connection.send_bytes(packed)

    def take(self) -> Said | Ending | None:
        """What the task has said, or how it ended; None where there is nothing new. Does not wait (see `wait_for`).

        Raises:
            BadInput: the process cannot start: `start` raised an error, died several times, or never ended.
        """
        if self.closed:
            return Died(self._process.exitcode) if self._busy else None
        alive = self._process.is_alive()  # asked first: what it said before it died is still in the pipe
        self._listen()
        while self._connection.poll():
            try:
                packed = self._connection.recv_bytes()
            except (EOFError, OSError):
                return self._died()
            if (heard := self._heard(_unpacked(packed))) is not None:
                return heard
        if not alive:
            return self._died()
        return self._late() if time.monotonic() > self.deadline else None

    def do(self, task: Any, seconds: float = inf, heard: Callable[[Any], object] = lambda message: None) -> Ending:
        """Waits until the process is ready, gives it the task and waits for its end; `heard` is told each message.

        The seconds count from when the process is ready. Raises as `take` does.
        """
        while not (self.idle or self.closed):
            wait_for([self])
            self.take()
        self.send(task, seconds)
        while True:
            said = self.take()
            if isinstance(said, Said):
                heard(said.message)
            elif said is not None:
                return said
            else:
                wait_for([self])

    def restart(self) -> None:
        """Puts a fresh process in place of this one, whatever it is doing."""
        self._end()
        self._connection.close()
        self._output.close()
        if not self.closed:
            self._start()

    def close(self) -> None:
        """Ends the process at once, and for good; also from another thread than the one that waits for it."""
        self.closed = True
        self._end()

    def ends(self) -> list[Connection | int]:
        """What becomes readable when it has something to tell, has printed, or is dead."""
        return [self._connection, self._process.sentinel, *([self._output] if self._prints else [])]

    def _start(self) -> None:
        self._ready = self._busy = False
        self._seconds, self._printed, self._prints = inf, b"", True
        self._connection, theirs = SPAWN.Pipe()
        self._output, printed = SPAWN.Pipe(duplex=False)
        self._process = SPAWN.Process(target=serve, args=(theirs, printed, self.memory, self._packed), name=NAME)
        # Ctrl-C is the parent's to handle: the child inherits the mask, from its very first moment. Starting the first
        # process starts Python's resource tracker, which unblocks the signal: so that is done before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            printed.close()
        self.deadline = time.monotonic() + STARTING

    def _heard(self, heard: Said | Started | Ending) -> Said | Ending | None:
        if isinstance(heard, Said):
            return heard
        self.deadline = inf
        if not isinstance(heard, Started):
            self._busy = False
            return heard
        if heard.reason:
            raise BadInput(f"a worker cannot start: {heard.reason}")
        self._ready, self._false_starts = True, 0
        return None

    def _died(self) -> Ending | None:
        """An idle process is replaced without a word."""
        self._process.join(1)  # it may have closed its pipe and live on
        self._listen()
        printed = self._printed.decode(errors="replace")
        ending = Died(self._process.exitcode, printed)
        self._false_starts += not self._ready
        if self._false_starts >= FALSE_STARTS:
            raise BadInput(f"a worker cannot start: it {ending}, {FALSE_STARTS} times")
        busy = self._busy
        self.restart()
        signs = [sign for sign in SIGNS if sign in printed]
        return (OutOfMemory(signs[0]) if signs else ending) if busy else None

    def _late(self) -> TimedOut:
        if not self._ready:
            raise BadInput(f"a worker cannot start: it was not ready after {STARTING:g} s")
        seconds = self._seconds
        self.restart()
        return TimedOut(seconds)

    def _listen(self) -> None:
        """Keeps the end of what it has printed by now: one reading, all that a pipe holds, of one that never stops."""
        if self._prints and self._output.poll():
            new = os.read(self._output.fileno(), 2**16)
            self._prints = bool(new)
            self._printed = (self._printed + new)[-TAIL:]

    def _end(self) -> None:
        """Kills the process, and what it has started."""
        with suppress(ProcessLookupError, PermissionError):  # it has no group yet, or nobody is left in it
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()


def _unpacked(packed: bytes) -> Said | Started | Ending:
    """What the process sent; what does not load here is an error of the task."""
    try:
        return pickle.loads(packed)
    except Exception as error:
        raised = Raised.of(error)
        return replace(raised, text=f"its answer cannot be read here: {raised.text}")


def wait_for(processes: Sequence[Process]) -> None:
    """Returns when one of them has something to tell or has run out of time, within a second in any case."""
    now = time.monotonic()
    seconds = min([1.0, *(process.deadline - now for process in processes)])
    wait([end for process in processes for end in process.ends()], timeout=max(0.0, seconds))
