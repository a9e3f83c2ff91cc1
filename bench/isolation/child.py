"""The code that runs inside the process: it detaches from its caller, then runs one task after another.

Heavy imports come only after the process has started to watch its parent.
"""

import multiprocessing
import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.isolation.endings import Ending, OutOfMemory, Raised, Returned, about_memory

NAME = "gradest worker"
"""The name of the process."""

Say = Callable[[Any], None]
"""Sends a message to the parent during a task."""
Action = Callable[[Any, Say], Any]
"""Runs one task: takes the task and `say`, and returns the answer."""


@dataclass(frozen=True)
class Said:
    """A message from a task to its parent, sent before the task ended."""

    message: Any


@dataclass(frozen=True)
class Started:
    """Sent when the process is ready for tasks; with a `reason`, the process can never be ready."""

    reason: str = ""


def refuse_inside(verb: str) -> None:
    """Raises SystemExit inside a worker: a script without the guard would call `verb` again in every worker."""
    if multiprocessing.current_process().name == NAME:
        raise SystemExit(f'gradest: a script has to call {verb} under `if __name__ == "__main__":`')


def serve(connection: Connection, printed: Connection, memory: int | None, packed: bytes) -> None:
    """Reports whether the process has started, then answers each task with its ending.

    Args:
        connection: Tasks come in and messages go out here.
        printed: Receives everything that the process prints.
        memory: Bytes of data that the process may hold, or None.
        packed: The pickled pair of `start` and its arguments; see `bench.isolation.process.Process`.
    """
    os.setsid()  # a separate process group: its children are killed with it
    _print_into(printed)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            action = _started(packed, memory)
        except Exception as error:
            _tell(connection, Started(str(Raised.of(error))))
            return
        _tell(connection, Started())
        while True:
            packed = connection.recv_bytes()
            _answer(connection, _ending(action, packed, lambda message: _tell(connection, Said(message))))


def _started(packed: bytes, memory: int | None) -> Action:
    start, arguments = pickle.loads(packed)  # imports the module of `start`; the memory limit applies afterwards
    if memory is not None:
        limit_memory(memory)
    return start(*arguments)


def limit_memory(most: int) -> None:
    """Limits the data of this process to `most` bytes from now on, or to the system's limit if that is lower."""
    _, allowed = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def as_action(function: Callable[..., Any]) -> Action:
    """Returns an action whose tasks are the arguments of `function`; defined here, where imports are light."""
    return lambda arguments, say: function(*arguments)


def _ending(action: Action, packed: bytes, say: Say) -> Ending:
    try:
        return Returned(action(pickle.loads(packed), say))
    except Exception as error:
        raised = Raised.of(error)
        return OutOfMemory(str(raised)) if about_memory(error) else raised


def _answer(connection: Connection, ending: Ending) -> None:
    """Sends the ending of a task; an answer that cannot be pickled becomes an error of the task."""
    try:
        packed = pickle.dumps(ending)
    except Exception as error:
        raised = Raised.of(error)
        packed = pickle.dumps(replace(raised, text=f"its answer cannot be sent: {raised.text}"))
    connection.send_bytes(packed)


def _tell(connection: Connection, message: Any) -> None:
    """Sends a message by plain pickle; `Connection.send` would share a tensor's memory, not send its values."""
    connection.send_bytes(pickle.dumps(message))


def _print_into(printed: Connection) -> None:
    """Redirects all output of this process and its children to the pipe `printed`."""
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    printed.close()


def _end_with_parent() -> None:
    """Waits for the parent to end, then kills this process and its children, even in the middle of a task."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(os.getpgrp(), signal.SIGKILL)
