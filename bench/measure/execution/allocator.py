"""Keeps freed memory in the measuring process; by default, glibc returns temporaries to the system again and again.

Every step allocates and frees tensors of about a MiB. With glibc's defaults, their pages are returned to the system and
faulted in again. This costs between nothing and a third of an eager step's processor time (bits in float64). No result
changes.
"""

import ctypes
from contextlib import suppress

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
