"""A process that runs one task after another; a task that hangs, crashes or runs out of memory affects no other.

Each process has its own pipe. A pool whose workers share a pipe (pebble, concurrent.futures) loses the results of other
tasks when a worker is killed while it holds the pool's lock, breaks when an idle worker dies, and does not notice
`os._exit(0)`.
"""

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.isolation.child import NAME, Action, Channel, Said, Started, serve
from bench.isolation.endings import SIGNS, Died, Ending, Garbled, OutOfMemory, Raised, TimedOut
from bench.isolation.frames import TOKEN, Frames, NotAFrame
from bench.isolation.kin import kill_kin, new_mark
from bench.system.optional import interrupts_blocked

SPAWN = multiprocessing.get_context("spawn")
FALSE_STARTS = 3
"""Number of deaths before the process is ready after which its start function is considered faulty."""
STARTING = 600.0
"""Seconds within which a process must be ready."""
TAIL = 4000
"""Bytes kept of a process's output."""


class Process:
    """A separate process, replaced by a fresh process whenever it dies or exceeds a time limit.

    In the process, `start(*arguments)` is called once. It returns the function `action(task, say)`, which runs one task
    after another, may send messages with `say(message)`, and returns the answer. `start`, tasks, messages and answers
    are pickled. Functions are pickled by the name of their module; a function without a module, such as a function of a
    notebook, is sent as bytes made by cloudpickle. Tensors are copied.

    All that a task starts is killed with the process, so that children of a task do not outlive it. Its
    output goes to the parent, which keeps only the end for `Died.printed`. The process ends when its parent ends, and
    does not receive Ctrl-C.

    Args:
        start: Prepares a fresh process and returns its action.
        arguments: Arguments of `start`.
        memory: Bytes of data that the process may hold (RLIMIT_DATA), once the module of `start` is imported. Use None
            on an accelerator, whose driver maps more memory than the machine has. Default: no limit.

    >>> with closing(Process(start)) as process:  # doctest: +SKIP
    ...     ending = process.do(task, seconds=3.0, heard=print)
    """

    def __init__(self, start: Callable[..., Action], *arguments: Any, memory: int | None = None) -> None:
        self.memory = memory
        self.deadline = inf
        """The time limit of the task, by `time.monotonic()`; the caller may move it."""
        self.tasks = 0
        """How many tasks the current process was given."""
        self.closed = False
        """Whether the process was ended for good."""
        self._packed, self._false_starts = pickle.dumps((start, arguments)), 0
        self._start()

    @property
    def idle(self) -> bool:
        """Whether the process is ready for a task."""
        return self._ready and not self._busy and self._alive()

    def _alive(self) -> bool:
        """Asks the pipe that the process's end closes, and the process table, which learns of it a moment later.

        A process that a task has forked keeps the pipe open.
        """
        return not wait([self._process.sentinel], timeout=0) and self._process.exitcode is None

    @property
    def pid(self) -> int:
        """The process id of the current process."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, task: Any, seconds: float = inf) -> None:
        """Sends a task with a time limit in seconds to an idle process; `take` returns its messages and its ending."""
        self._listen()
        self._busy, self._seconds, self._printed, self._token = True, seconds, b"", os.urandom(TOKEN)
        self.tasks += 1
        self.deadline = time.monotonic() + seconds
        packed = pickle.dumps(task)
        with suppress(OSError):  # the process has just died: `take` reports it
            self._connection.send_bytes(self._token + packed)

    def take(self) -> Said | Ending | None:
        """Returns the task's next message or its ending; None without news. Does not wait; see `wait_for`.

        Raises:
            BadInput: The process cannot start: `start` raised an error, died several times, or never returned.
        """
        if self.closed:
            return Died(self._process.exitcode) if self._busy else None
        alive = self._alive()  # first, because messages from before its death are still in the pipe
        self._listen()
        try:
            while (packed := self._received()) is not None:
                if (heard := self._heard(_unpacked(packed))) is not None:
                    return heard
        except EOFError:
            return self._died()
        except NotAFrame:
            return self._garbled()
        if not alive:
            return self._died()
        return self._late() if time.monotonic() > self.deadline else None

    def do(self, task: Any, seconds: float = inf, heard: Callable[[Any], object] = lambda message: None) -> Ending:
        """Runs a task and waits for its ending.

        Args:
            task: The task.
            seconds: Time limit, counted from when the process is ready. Default: no limit.
            heard: Called with each message of the task.

        Returns:
            How the task ended.

        Raises:
            BadInput: The process cannot start; see `take`.
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
        """Kills the process, whatever it is doing, and starts a fresh process."""
        self._end()
        self._connection.close()
        self._output.close()
        if not self.closed:
            self._start()

    def close(self) -> None:
        """Ends the process at once and for good. May be called from another thread than the waiting thread."""
        self.closed = True
        self._end()

    def ends(self) -> list[Connection | int]:
        """Connections and handles that become readable when the process sends, prints or dies."""
        return [self._connection, self._process.sentinel, *([self._output] if self._prints else [])]

    def _start(self) -> None:
        self._ready = self._busy = False
        self.tasks, self._frames, self._token, self._mark = 0, Frames(), os.urandom(TOKEN), new_mark()
        self._seconds, self._printed, self._prints = inf, b"", True
        self._connection, theirs = SPAWN.Pipe()
        self._output, printed = SPAWN.Pipe(duplex=False)
        arguments = (Channel(theirs, self._token), printed, self._mark, self.memory, self._packed)
        self._process = SPAWN.Process(target=serve, args=arguments, name=NAME)
        # The parent handles Ctrl-C: the child inherits the signal mask, so that it never receives the signal. Starting
        # the first process starts Python's resource tracker, which unblocks the signal, so the tracker starts before.
        resource_tracker.ensure_running()
        try:
            with interrupts_blocked():
                self._process.start()
        finally:
            theirs.close()
            printed.close()
        self.deadline = time.monotonic() + STARTING

    def _heard(self, heard: Said | Started | Ending) -> Said | Ending | None:
        if isinstance(heard, Said):
            return heard
        self.deadline, self._token = inf, os.urandom(TOKEN)  # until the next task, it has nothing to say
        if not isinstance(heard, Started):
            self._busy = False
            return heard
        if heard.reason:
            raise _cannot_start(heard.reason)
        self._ready, self._false_starts = True, 0
        return None

    def _died(self) -> Ending | None:
        """Replaces a dead process; returns the ending of its task, or None if the process was idle."""
        self._process.join(1)  # it may have closed its pipe without ending
        self._listen()
        printed = self._printed.decode(errors="replace")
        ending = Died(self._process.exitcode, printed)
        self._false_starts += not self._ready
        if self._false_starts >= FALSE_STARTS:
            raise _cannot_start(f"it {ending}, {FALSE_STARTS} times")
        busy = self._busy
        self.restart()
        signs = [sign for sign in SIGNS if sign in printed]
        return (OutOfMemory(signs[0]) if signs else ending) if busy else None

    def _received(self) -> bytes | None:
        """The next message from the pipe, or None. Raises EOFError and NotAFrame; see `Frames`."""
        while True:
            if (content := self._frames.next(self._token)) is not None:
                return content
            if not self._connection.poll():
                return None
            self._frames.read(self._connection.fileno())

    def _garbled(self) -> Garbled | None:
        """Replaces a process whose pipe carried something else; the ending of its task, or None if it was idle."""
        busy = self._busy
        self._false_starts += not self._ready
        if self._false_starts >= FALSE_STARTS:
            raise _cannot_start(f"it {Garbled()}, {FALSE_STARTS} times")
        self.restart()
        return Garbled() if busy else None

    def _late(self) -> TimedOut:
        if not self._ready:
            raise _cannot_start(f"it was not ready after {STARTING:g} s")
        seconds = self._seconds
        self.restart()
        return TimedOut(seconds)

    def _listen(self) -> None:
        """Keeps the end of the output so far; reads once, at most a full pipe, because output may never stop."""
        if self._prints and self._output.poll():
            new = os.read(self._output.fileno(), 2**16)
            self._prints = bool(new)
            self._printed = (self._printed + new)[-TAIL:]

    def _end(self) -> None:
        """Kills the process and all that its tasks started."""
        kill_kin(self.pid, self._mark)
        self._process.kill()
        self._process.join()


def _cannot_start(why: str) -> ValueError:
    from estimators.errors import BadInput  # imports torch, which takes seconds

    return BadInput(f"a worker cannot start: {why}")


def _unpacked(packed: bytes) -> Said | Started | Ending:
    """Unpickles a message of the process; a message that cannot be unpickled here is an error of the task."""
    try:
        return pickle.loads(packed)
    except Exception as error:
        raised = Raised.of(error)
        return replace(raised, text=f"its answer cannot be read here: {raised.text}")


def wait_for(processes: Sequence[Process]) -> list[int]:
    """Waits until a process has news or reaches its time limit, at most one second.

    Returns the indices of the processes to ask: those with news or at their limit; all of them after a second without.
    """
    now = time.monotonic()
    seconds = min([1.0, *(process.deadline - now for process in processes)])
    owners = {end: index for index, process in enumerate(processes) for end in process.ends()}
    heard = {owners[end] for end in wait([*owners], timeout=max(0.0, seconds))}  # pyright: ignore[reportArgumentType]
    now = time.monotonic()
    heard |= {index for index, process in enumerate(processes) if process.deadline <= now}
    return sorted(heard) or [*range(len(processes))]
