"""Freed memory stays with the process that measures: glibc would hand temporaries back to the system again and again.

Every step makes and frees tensors of about a MiB. By glibc's defaults their pages are returned and faulted in anew: a
third of an eager step's processor time at the worst (bits in float64), nothing at the best. No number changes.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's malloc.h."""
KEPT_BYTES, MAPPED_BYTES = 128 << 20, 32 << 20
"""Bytes that a process may keep though they are free; an allocation from the second on is mapped on its own."""


def keep_freed_memory() -> None:
    """Tells glibc's allocator; another allocator is left as it is."""
    with suppress(AttributeError, OSError, TypeError):  # musl has no mallopt, Windows no library of the process
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
