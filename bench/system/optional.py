"""Parts of the operating system that some systems lack, and what happens without them.

Linux has all of them. Elsewhere numbers are the same and the protection is weaker: `SYSTEM_PARTS` says in which way.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

try:
    import resource
except ImportError:  # Windows
    resource: Any = None
try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None

PROC = Path("/proc")
"""Where Linux shows processes, the processor and the memory."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The signal that ends a process at once."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Constants of glibc's malloc.h."""
KEPT_BYTES, MAPPED_BYTES = 128 << 20, 32 << 20
"""Free bytes that a process may keep, and the size in bytes from which an allocation is mapped separately."""
PR_SET_CHILD_SUBREAPER = 36
"""A constant of Linux's sys/prctl.h."""


@dataclass(frozen=True)
class SystemPart:
    """A part of the system: `there()` asks for it, `without` says what happens where it is missing."""

    there: Callable[[], bool]
    without: str


def has_memory_limits() -> bool:
    """Whether the memory of a process can be limited: macOS has the call, and ignores it."""
    return resource is not None and sys.platform == "linux"


def has_file_locks() -> bool:
    """Whether files can be locked."""
    return fcntl is not None


def has_proc() -> bool:
    """Whether other processes can be looked at in `PROC`."""
    return (PROC / "self" / "stat").exists()


def has_fork() -> bool:
    """Whether a process can be forked."""
    return hasattr(os, "fork") and "forkserver" in multiprocessing.get_all_start_methods()


def has_groups() -> bool:
    """Whether a process and its children can be ended together."""
    return hasattr(os, "setsid") and hasattr(os, "killpg")


SYSTEM_PARTS = {
    "memory limits": SystemPart(
        has_memory_limits,
        "a cell may use all memory of the machine; `--memory` is refused",
    ),
    "file locks": SystemPart(
        has_file_locks,
        "nothing keeps two runs from writing to one folder, or from timing cells on one device at the same time",
    ),
    "/proc": SystemPart(
        has_proc,
        "processes that a cell starts in a session of their own outlive it, and fewer of the things that a plug-in's "
        "cell leaves behind are noticed",
    ),
    "fork": SystemPart(has_fork, "each process that draws figures imports everything for itself"),
    "process groups": SystemPart(has_groups, "processes that a cell starts may outlive it"),
}
"""The parts by name."""


def missing_parts() -> dict[str, str]:
    """The parts that this system lacks, each with what happens without it; empty on Linux."""
    return {name: part.without for name, part in SYSTEM_PARTS.items() if not part.there()}


def limit_memory(most: int) -> None:
    """Limits the data of this process to `most` bytes from now on, or to the system's limit if that is lower.

    Does nothing without memory limits.
    """
    if has_memory_limits():
        _, allowed = resource.getrlimit(resource.RLIMIT_DATA)
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def process_limits() -> list[tuple[int, int]]:
    """All limits of this process; none without the module `resource`."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")] if resource else []
    return [resource.getrlimit(getattr(resource, name)) for name in names]


def memory_of_machine() -> int | None:
    """Bytes of memory; None where the system does not say it."""
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def free_memory() -> int | None:
    """Bytes of memory that are free or can be freed; those of the machine where the system does not say it."""
    with suppress(OSError, ValueError, StopIteration):
        lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return memory_of_machine()


def keep_freed_memory() -> None:
    """Configures glibc's allocator to keep freed memory; has no effect with another allocator.

    Every step allocates and frees tensors of about a MiB. With glibc's defaults, their pages are returned to the system
    and faulted in again. This costs between nothing and a third of an eager step's processor time (bits in float64). No
    result changes.
    """
    with suppress(AttributeError, OSError, TypeError):  # musl has no mallopt, Windows no library of the process
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def lock_file(file: IO[Any] | int, *, wait: bool) -> bool:
    """Locks an open file until it is closed; returns whether this process has the lock, True without file locks."""
    if not has_file_locks():
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if wait:
            raise
        return False
    return True


def begin_group() -> None:
    """Makes this process the leader of a new group in a new session: its children are ended with it."""
    if has_groups():
        os.setsid()


def end_group(leader: int) -> None:
    """Kills a process and its group; without groups, the process alone."""
    with suppress(ProcessLookupError, PermissionError):  # the group does not exist yet, or is empty
        os.killpg(leader, KILL) if has_groups() else os.kill(leader, KILL)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent ends: they stay findable. Linux only."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes that start inside do not receive Ctrl-C, where signals can be blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def usable_cores() -> int:
    """The number of CPU cores that this process may use, or that the machine has where the system does not say it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The processor's name as Linux reports it; empty elsewhere."""
    with suppress(OSError):
        lines = (PROC / "cpuinfo").read_text(errors="replace").splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return ""


def user() -> str:
    """A text that tells users of a machine apart."""
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
