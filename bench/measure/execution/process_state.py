"""Process-wide settings that a cell must not change: saved before a cell, restored and reported after it."""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch

GLOBAL_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "the working directory": (os.getcwd, os.chdir),
}


class Kept:
    """`with Kept() as kept:` restores the settings that changed inside; `kept.changed` lists their names.

    >>> with Kept() as kept:
    ...     torch.set_default_dtype(torch.float16)
    >>> kept.changed, torch.get_default_dtype()
    (["torch's default dtype"], torch.float32)
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._before: dict[str, Any] = {}

    def __enter__(self) -> "Kept":
        self._before = {name: read() for name, (read, _) in GLOBAL_SETTINGS.items()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for name, (read, write) in GLOBAL_SETTINGS.items():
            if read() != self._before[name]:
                write(self._before[name])
                self.changed.append(name)
