"""What runs inside the process: it cuts itself off from its caller, and then does one task after another.

Nothing heavy is imported before the process watches over its parent.
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
"""What the process is called."""

Say = Callable[[Any], None]
"""Tells the parent something in the middle of a task."""
Action = Callable[[Any, Say], Any]
"""Does one task: is given the task and `say`, and returns the answer."""


@dataclass(frozen=True)
class Said:
    """What a task told its parent before it ended."""

    message: Any


@dataclass(frozen=True)
class Started:
    """The process is ready for tasks; or, where there is a `reason`, it can never be."""

    reason: str = ""


def refuse_inside(verb: str) -> None:
    """A script without the guard would call the verb again in every worker that imports it."""
    if multiprocessing.current_process().name == NAME:
        raise SystemExit(f'gradest: a script has to call {verb} under `if __name__ == "__main__":`')


def serve(connection: Connection, printed: Connection, memory: int | None, packed: bytes) -> None:
    """Says whether it has started; then answers each task with how it ended.

    `packed`: the pickled pair of `start` and its arguments, see `bench.isolation.process.Process`.
    """
    os.setsid()  # a process group of its own: what it starts is found and killed with it
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
    start, arguments = pickle.loads(packed)  # imports the module of `start`: the limit holds for what comes after
    if memory is not None:
        limit_memory(memory)
    return start(*arguments)


def limit_memory(most: int) -> None:
    """This process may hold so many bytes of data, from here on; no more than what the system allows it anyway."""
    _, allowed = resource.getrlimit(resource.RLIMIT_DATA)
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def as_action(function: Callable[..., Any]) -> Action:
    """What does a task that is the arguments of a function; stands here so that it imports nothing heavy."""
    return lambda arguments, say: function(*arguments)


def _ending(action: Action, packed: bytes, say: Say) -> Ending:
    try:
        return Returned(action(pickle.loads(packed), say))
    except Exception as error:
        raised = Raised.of(error)
        return OutOfMemory(str(raised)) if about_memory(error) else raised


def _answer(connection: Connection, ending: Ending) -> None:
    """An answer that pickle refuses is an error of the task."""
    try:
        packed = pickle.dumps(ending)
    except Exception as error:
        raised = Raised.of(error)
        packed = pickle.dumps(replace(raised, text=f"its answer cannot be sent: {raised.text}"))
    connection.send_bytes(packed)


def _tell(connection: Connection, message: Any) -> None:
    """Plain pickle: by `Connection.send`, torch would share a tensor's memory and not send its numbers."""
    connection.send_bytes(pickle.dumps(message))


def _print_into(printed: Connection) -> None:
    """What is printed here, or by what is started here, goes to the parent and not to where the parent prints."""
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    printed.close()


def _end_with_parent() -> None:
    """A process whose parent was killed ends at once with all that it started, also in the middle of a task."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(os.getpgrp(), signal.SIGKILL)
