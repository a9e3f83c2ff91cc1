"""The code that runs inside the process: it detaches from its caller, then runs one task after another.

Heavy imports come only after the process has started to watch its parent.
"""

import gc
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.isolation.endings import Ending, OutOfMemory, Raised, Returned, about_memory
from bench.isolation.frames import TOKEN, framed, write_all
from bench.isolation.kin import kill_kin
from bench.system.optional import adopt_orphans, begin_group, end_group, limit_memory, mark_kin

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


class Channel:
    """This process's end of the pipe: tasks come in, frames with the token of the current task go out."""

    def __init__(self, connection: Connection, token: bytes) -> None:
        self.connection, self.token = connection, token

    def task(self) -> bytes:
        """Waits for the next task, and returns it pickled. Raises EOFError if the parent is gone."""
        received = self.connection.recv_bytes()
        self.token = received[:TOKEN]
        return received[TOKEN:]

    def tell(self, packed: bytes) -> None:
        """Sends a pickled message. A process that a task has forked has nothing to say: it ends here."""
        if os.getpid() != self.own:
            os._exit(0)
        write_all(self.connection.fileno(), framed(self.token, packed))

    def open(self) -> None:
        """Called in the process that speaks for this end."""
        self.own = os.getpid()


def serve(channel: Channel, printed: Connection, mark: int, memory: int | None, packed: bytes) -> None:
    """Reports whether the process has started, then answers each task with its ending.

    Args:
        channel: Tasks come in and messages go out here.
        printed: Receives everything that the process prints.
        mark: Names the processes that tasks start; see `bench.isolation.kin`.
        memory: Bytes of data that the process may hold, or None.
        packed: The pickled pair of `start` and its arguments; see `bench.isolation.process.Process`.
    """
    begin_group()
    mark_kin(mark)
    adopt_orphans()
    channel.open()
    _print_into(printed)
    threading.Thread(target=_end_with_parent, args=(mark,), daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            action = _started(packed, memory)
        except Exception as error:
            channel.tell(pickle.dumps(Started(str(Raised.of(error)))))
            return
        channel.tell(pickle.dumps(Started()))
        while True:
            packed = channel.task()
            channel.tell(_packed(_ending(action, packed, lambda said: channel.tell(pickle.dumps(Said(said))))))


def _started(packed: bytes, memory: int | None) -> Action:
    """Imports the module of `start` and calls it; the memory limit applies in between.

    What is imported stays, so no garbage is collected meanwhile: an eighth of the time that torch, scipy and pandas
    take.
    """
    gc.disable()
    start, arguments = pickle.loads(packed)
    gc.enable()
    if memory is not None:
        limit_memory(memory)
    return start(*arguments)


def as_action(function: Callable[..., Any]) -> Action:
    """Returns an action whose tasks are the arguments of `function`; defined here, where imports are light."""
    return lambda arguments, say: function(*arguments)


def _ending(action: Action, packed: bytes, say: Say) -> Ending:
    try:
        return Returned(action(pickle.loads(packed), say))
    except BaseException as error:  # SystemExit too: a task does not end the process by it
        raised = Raised.of(error)
        return OutOfMemory(str(raised)) if about_memory(error) else raised


def _packed(ending: Ending) -> bytes:
    """The ending of a task by plain pickle; an answer that cannot be pickled becomes an error of the task.

    `Connection.send` would share a tensor's memory, not send its values.
    """
    try:
        return pickle.dumps(ending)
    except Exception as error:
        raised = Raised.of(error)
        return pickle.dumps(replace(raised, text=f"its answer cannot be sent: {raised.text}"))


def _print_into(printed: Connection) -> None:
    """Redirects all output of this process and its children to the pipe `printed`."""
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    printed.close()


def _end_with_parent(mark: int) -> None:
    """Waits for the parent to end, then kills all that tasks started and this process, even in the middle of a task."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        kill_kin(os.getpid(), mark)
        end_group(os.getpid())
