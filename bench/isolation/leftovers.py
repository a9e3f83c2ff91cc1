"""What a task left behind in its process: threads, processes, timers, files, settings of Python and of the system."""

import builtins
import gc
import locale
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bench.system import optional

SIGNALS = tuple(signal.valid_signals())
FAINT, DENORMAL = 1e-17, 5e-324
TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]


def _children() -> set[str]:
    return {pid for path in optional.PROC.glob("self/task/*/children") for pid in path.read_text().split()}


def _files() -> set[tuple[str, str]]:
    """Open descriptors, each with the file behind it."""
    found = set()
    for each in (optional.PROC / "self" / "fd").glob("*"):
        with suppress(OSError):  # the descriptor of the listing itself
            found.add((each.name, str(each.readlink())))
    return found


def _timers() -> tuple[Any, ...]:
    """Whether each timer of Python runs, and the system's own timers."""
    own = optional.PROC / "self" / "timers"
    return (*(bool(signal.getitimer(timer)[0]) for timer in TIMERS), own.read_text() if own.exists() else "")


def _umask() -> int:
    now = os.umask(0o77)
    os.umask(now)
    return now


def _imports() -> tuple[Any, ...]:
    return ([*sys.path], [*sys.meta_path], [*sys.path_hooks], builtins.__import__)


def _tracing() -> tuple[Any, ...]:
    monitoring = getattr(sys, "monitoring", None)
    tools = [monitoring.get_tool(tool) for tool in range(6)] if monitoring else []
    return (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile(), tools)


def _interpreter() -> tuple[Any, ...]:
    return (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold(), [*gc.callbacks])


OBSERVED: dict[str, Callable[[], Any]] = {
    "a thread": lambda: {*sys._current_frames()},
    "a process": _children,
    "a timer": _timers,
    "a signal handler": lambda: [signal.getsignal(number) for number in SIGNALS],
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []),
    "open or closed files": _files,
    "other output streams": lambda: (sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook),
    "a changed environment": lambda: {**os.environ},
    "a changed file mode mask": _umask,
    "changed limits": optional.process_limits,
    "a changed priority": lambda: (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)),
    "a changed locale": lambda: locale.setlocale(locale.LC_ALL),
    "changed imports": _imports,
    "a trace or profile function": _tracing,
    "changed settings of Python": _interpreter,
    "a changed number format": lambda: (1 + FAINT == 1, 1 - FAINT == 1, DENORMAL / 2 == 0),
}
"""What is looked at, and how it is read; equal values mean that nothing was left."""


class Leftovers:
    """`Leftovers()` looks before a task; `found()` names what is different after it."""

    def __init__(self) -> None:
        self._before = {name: _value(read) for name, read in OBSERVED.items()}

    def found(self) -> list[str]:
        """The names in `OBSERVED` whose value changed, or cannot be read any more."""
        return [name for name, read in OBSERVED.items() if _value(read) != self._before[name]]


def _value(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # a function that it calls was replaced, or its file is gone
        return repr(type(error))
