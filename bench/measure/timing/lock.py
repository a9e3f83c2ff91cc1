"""One timed cell per physical device at a time, among all of gradest's processes of a user on a machine."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def alone(device: str) -> Iterator[None]:
    """Waits, without a time limit, until no other process of this user times on this device.

    Who waits has no time limit of a cell either: `bench.sweeps.windows` waits before the first cell's turn.
    """
    path = Path(tempfile.gettempdir()) / f"gradest-{os.getuid()}-{physical(device)}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def physical(device: str) -> str:
    """The device itself, whatever its number is here: CUDA_VISIBLE_DEVICES gives one GPU several numbers.

    That is its UUID; where torch knows none, its number, so that two devices may share a lock, but never two locks a
    device.

    >>> physical("cpu")
    'cpu'
    """
    where = torch.device(device)
    if where.type == "cpu":
        return "cpu"
    index = torch.accelerator.current_device_index() if where.index is None else where.index
    properties = getattr(torch.get_device_module(where), "get_device_properties", lambda index: None)(index)
    return f"{where.type}-{getattr(properties, 'uuid', None) or index}"
