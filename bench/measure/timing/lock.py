"""A lock per physical device: among all gradest processes of a user on a machine, one at a time runs timed cells."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from bench.system.optional import lock_file, user


@contextmanager
def alone(device: str) -> Iterator[None]:
    """Waits, without a time limit, until no other process of this user times on this device, and holds its lock.

    The wait does not count against a cell's time limit: `bench.sweeps.windows` waits before the first cell's turn.
    """
    path = Path(tempfile.gettempdir()) / f"gradest-{user()}-{physical(device)}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        lock_file(file, wait=True)
        yield
    finally:
        os.close(file)


def physical(device: str) -> str:
    """A name of the physical device: CUDA_VISIBLE_DEVICES can give one GPU several numbers.

    It is the UUID, or the number if torch knows no UUID. With numbers, two devices may share a lock, but a device never
    has two locks.

    >>> physical("cpu")
    'cpu'
    """
    where = torch.device(device)
    if where.type == "cpu":
        return "cpu"
    index = torch.accelerator.current_device_index() if where.index is None else where.index
    properties = getattr(torch.get_device_module(where), "get_device_properties", lambda index: None)(index)
    return f"{where.type}-{getattr(properties, 'uuid', None) or index}"
