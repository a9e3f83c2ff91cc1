"""One timed cell per device at a time, among all of gradest's processes on a machine."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(device: str) -> Iterator[None]:
    """Waits until no other process of this user times on this device; shards of a sweep may share a machine."""
    name = f"gradest-{os.getuid()}-{device.replace(':', '-')}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
