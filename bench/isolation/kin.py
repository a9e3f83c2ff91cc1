"""The processes that a task started, in whatever group or session they are, and whether their parents live or not.

Linux only: without /proc, the process group is all that is ended.
"""

import os
import secrets
from contextlib import suppress

from bench.system import optional
from bench.system.optional import KILL, end_group

KILLING_ROUNDS = 100
"""How often kin are looked for again: they may fork while they are killed."""


def new_mark() -> int:
    """A number that names one process that runs tasks, and all that its tasks start."""
    return secrets.randbelow(2**61) + 2**61


def marked(mark: int) -> set[int]:
    """The processes with a mark."""
    wanted, found = str(mark).encode(), set()
    for each in optional.PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if wanted in (each / "limits").read_bytes().split():
                found.add(int(each.name))
    return found


def kill_kin(pid: int, mark: int) -> None:
    """Kills a process, its process group and all that its tasks started; not the caller."""
    if pid != os.getpid():
        end_group(pid)
    killed = {os.getpid()}
    for _ in range(KILLING_ROUNDS):
        new = marked(mark) - killed
        if not new:
            return
        for each in new:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, KILL)
        killed |= new
