"""One call in a process of its own."""

from collections.abc import Callable
from contextlib import closing
from math import inf
from typing import Any

from bench.isolation.child import as_action
from bench.isolation.endings import Ending
from bench.isolation.process import Process


def call(function: Callable[..., Any], *arguments: Any, seconds: float = inf, memory: int | None = None) -> Ending:
    """How `function(*arguments)` ends in a fresh process.

    Args:
        function: Travels by pickle, as do its arguments and what it returns; see `bench.isolation.process.Process`.
        arguments: What it is called with.
        seconds: It is killed when it takes longer, with whatever it has started. Starting the process and importing
            the function's module do not count.
        memory: Bytes of data that the process may hold.

    Returns:
        `Returned`, `Raised`, `OutOfMemory`, `TimedOut` or `Died`, see `bench.isolation.endings`.

    Raises:
        BadInput: the process cannot start, as where the function's module does not import there.

    >>> call(divmod, 7, 2)
    Returned(value=(3, 1))
    """
    with closing(Process(as_action, function, memory=memory)) as process:
        return process.do(arguments, seconds)
