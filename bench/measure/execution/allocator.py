"""Keeps freed memory in the measuring process; by default, glibc returns temporaries to the system again and again.

Every step allocates and frees tensors of about a MiB. With glibc's defaults, their pages are returned to the system and
faulted in again. This costs between nothing and a third of an eager step's processor time (bits in float64). No result
changes.
"""

import ctypes
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Constants of glibc's malloc.h."""
KEPT_BYTES, MAPPED_BYTES = 128 << 20, 32 << 20
"""Free bytes that a process may keep, and the size in bytes from which an allocation is mapped separately."""


def keep_freed_memory() -> None:
    """Configures glibc's allocator to keep freed memory; has no effect with another allocator."""
    with suppress(AttributeError, OSError, TypeError):  # musl has no mallopt, Windows no library of the process
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


@contextmanager
def allocating_at_most(more: int) -> Iterator[None]:
    """Lets this process allocate at most `more` bytes within the block; beyond them, allocations fail.

    Without /proc, where it is not known how many bytes the process has, there is no limit.
    """
    known = Path("/proc/self/status")
    held = re.search(r"VmData:\s+(\d+) kB", known.read_text(encoding="utf-8")) if known.exists() else None
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = int(held[1]) * 1024 + more if held else soft
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
