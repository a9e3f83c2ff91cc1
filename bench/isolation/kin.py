"""The processes that a task started: its process's descendants, in whatever group or session they are.

Linux only: without /proc, the process group is all that is ended.
"""

import os
from contextlib import suppress

from bench.system import optional
from bench.system.optional import KILL, end_group

WORKER_MARK = "GRADEST_WORKER"
"""Environment variable of a process that runs tasks, inherited by the programs that its tasks start."""


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for each in optional.PROC.glob("[0-9]*"):
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
    for each in optional.PROC.glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
    return found


def kill_with_kin(pid: int, mark: str) -> None:
    """Kills a process, its process group and all that its tasks started."""
    before = descendants(pid)
    end_group(pid)
    for each in {*before, *marked(mark)} - {os.getpid()}:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, KILL)
