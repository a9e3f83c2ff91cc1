"""The processes that a task started: its process's descendants, in whatever group or session they are.

Linux only: without /proc, the process group is all that is ended.
"""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

WORKER_MARK = "GRADEST_WORKER"
"""Environment variable of a process that runs tasks, inherited by the programs that its tasks start."""
PROC = Path("/proc")
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of <sys/prctl.h>."""


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent ends: they stay findable."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for each in PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((each / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(each.name))
    found, waiting = [], [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def marked(mark: str) -> list[int]:
    """The processes of this user whose environment has the mark of one process that runs tasks."""
    wanted, found = f"{WORKER_MARK}={mark}".encode(), []
    for each in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
    return found


def kill_with_kin(pid: int, mark: str) -> None:
    """Kills a process, its process group and all that its tasks started."""
    before = descendants(pid)
    with suppress(ProcessLookupError, PermissionError):  # the group does not exist yet, or is empty
        os.killpg(pid, signal.SIGKILL)
    for each in {*before, *marked(mark)} - {os.getpid()}:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)
