"""Runs one call in a separate process."""

from collections.abc import Callable
from contextlib import closing
from math import inf
from typing import Any

from bench.isolation.child import as_action
from bench.isolation.endings import Ending
from bench.isolation.process import Process


def call(function: Callable[..., Any], *arguments: Any, seconds: float = inf, memory: int | None = None) -> Ending:
    """Runs `function(*arguments)` in a fresh process and reports how it ended.

    Args:
        function: Pickled, like its arguments and its result; see `bench.isolation.process.Process`.
        arguments: Arguments of the call.
        seconds: Time limit, after which the process and its children are killed. Starting the process and importing
            the function's module do not count. Default: no limit.
        memory: Bytes of data that the process may hold. Default: no limit.

    Returns:
        `Returned`, `Raised`, `OutOfMemory`, `TimedOut` or `Died`; see `bench.isolation.endings`.

    Raises:
        BadInput: The process cannot start, for example because the function's module cannot be imported there.

    >>> call(divmod, 7, 2)
    Returned(value=(3, 1))
    """
    with closing(Process(as_action, function, memory=memory)) as process:
        return process.do(arguments, seconds)
