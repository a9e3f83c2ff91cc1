"""Signals of the processes that tests start; the standard library is enough, as on a bare machine with a GPU."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def children_hear_ctrl_c() -> Iterator[None]:
    """Processes that begin here hear Ctrl-C, though a shell ignores it in what it runs in the background.

    What is ignored stays so in a child; what has a handler is handled there as usual.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
