"""The processes that a task started, in whatever group or session they are, and whether their parents live or not.

Linux only: without /proc, the process group is all that is ended.
"""

import ctypes
import os
import resource
import secrets
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
FILE_LOCKS = 10
"""RLIMIT_LOCKS of <sys/resource.h>, a limit that Linux keeps and has not used since version 2.4.25."""
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of <sys/prctl.h>."""
KILLING_ROUNDS = 100
"""How often kin are looked for again: they may fork while they are killed."""


def new_mark() -> int:
    """A number that names one process that runs tasks, and all that its tasks start."""
    return secrets.randbelow(2**61) + 2**61


def mark_kin(mark: int) -> None:
    """Marks this process and all that it will start, until they end.

    The mark is a limit that nothing uses: a child has it after a fork, as a new program, in another session, and
    without the environment and the files of its parent.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(FILE_LOCKS, (mark, resource.getrlimit(FILE_LOCKS)[1]))


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent ends: it can count them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def marked(mark: int) -> set[int]:
    """The processes with a mark."""
    wanted, found = str(mark).encode(), set()
    for each in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if wanted in (each / "limits").read_bytes().split():
                found.add(int(each.name))
    return found


def kill_kin(pid: int, mark: int) -> None:
    """Kills a process, its process group and all that its tasks started; not the caller."""
    if pid != os.getpid():
        with suppress(ProcessLookupError, PermissionError):  # the group does not exist yet, or is empty
            os.killpg(pid, signal.SIGKILL)
    killed = {os.getpid()}
    for _ in range(KILLING_ROUNDS):
        new = marked(mark) - killed
        if not new:
            return
        for each in new:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        killed |= new
